"""Answers over all workers: counts, windows, health, status. Knows no HTTP server."""
