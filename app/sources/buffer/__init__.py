"""A buffer in memory and on disk for lines that cannot be read again."""
