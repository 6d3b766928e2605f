"""The source of `produce flume`: events of Flume's Thrift sinks."""
