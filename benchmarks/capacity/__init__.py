"""The benchmark `capacity`."""
