"""The source of `produce x`: posts of X, by its filtered stream."""
