"""The three agents, in the order of the stream: split, count, flush."""
