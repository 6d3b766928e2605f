"""What answers questions: counts over all workers, health and metrics."""
