"""A Thrift source for Flume agents."""
