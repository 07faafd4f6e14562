"""The benchmark `off_policy`."""
