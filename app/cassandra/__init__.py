"""The way of the counts into Cassandra: session, schema, batched writer."""
