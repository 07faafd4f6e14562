"""Evaluation by time over the full catalogue, and its report."""
