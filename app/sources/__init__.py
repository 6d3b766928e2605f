"""Topic producers: each source of lines in a file of its own, one delivering end for all.

`base` is the contract of a source, `delivery` brings its lines to Kafka, `run` joins the two.
"""
