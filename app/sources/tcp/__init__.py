"""Sources of lines over TCP: a client that connects, and a server that listens."""
