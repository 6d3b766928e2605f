"""Peers of the sources in tests, each in a process of its own, so that a test can kill it."""
