"""What Faust lacks for Kafka: records delivered in blocks, one fenced transactional writer a partition."""
