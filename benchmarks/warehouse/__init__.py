"""The benchmark `warehouse`."""
