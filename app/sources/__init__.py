"""Topic producers: one module or folder for each source, one delivery for all.

`base` is the contract of a source, `buffer` holds lines that cannot be read again, `delivery`
brings lines to Kafka, `pump` passes batches between them, and `run` is one run from start to end.
"""
