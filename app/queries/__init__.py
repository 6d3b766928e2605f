"""Queries over all workers: counts, windows, health, status. This package has no HTTP server."""
