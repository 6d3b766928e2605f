"""Writes counts to Cassandra: session, schema, batched writer."""
