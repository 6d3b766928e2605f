"""The worker: what starts and stops, what a rebalance does, what a start checks first."""
