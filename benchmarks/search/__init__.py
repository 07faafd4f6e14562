"""The benchmark `search`."""
