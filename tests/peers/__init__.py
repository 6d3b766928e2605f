"""What the sources talk to in tests, each in a process of its own, so that it can be killed."""
