"""The live page in a real browser, on real workers and servers."""
