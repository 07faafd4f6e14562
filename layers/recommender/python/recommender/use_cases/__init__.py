"""The use cases, one verb a file: each takes a command and its ports, and returns a value."""
