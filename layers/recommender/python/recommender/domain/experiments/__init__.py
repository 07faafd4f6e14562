"""Experiments as pure functions: assignment, counts, posterior, allocation, report."""
