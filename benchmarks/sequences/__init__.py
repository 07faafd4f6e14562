"""The benchmark `sequences`."""
