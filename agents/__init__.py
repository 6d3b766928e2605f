"""The three agents, in the order of the stream: split.py, count.py, flush.py."""
