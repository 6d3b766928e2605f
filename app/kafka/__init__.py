"""What Faust lacks for Kafka: records in blocks, one fenced transactional writer a partition."""
