"""The benchmark `purchases`."""
