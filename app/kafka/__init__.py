"""Kafka for Faust: records in blocks, and one fenced transactional producer a partition."""
