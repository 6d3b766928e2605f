"""The source of `produce kafka`: it copies a topic, of this cluster or another."""
