"""The benchmark `projection`."""
