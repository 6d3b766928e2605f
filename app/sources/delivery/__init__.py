"""Delivery of lines to Kafka: idempotent, or in transactions with their positions."""
