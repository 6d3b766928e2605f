"""The promise of exactness, put to the test: whatever dies, Cassandra holds what was written."""
