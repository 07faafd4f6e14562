"""The benchmark `uplift`."""
