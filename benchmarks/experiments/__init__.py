"""The benchmark `experiments`."""
