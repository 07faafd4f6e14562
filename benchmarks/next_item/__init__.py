"""The benchmark `next_item`."""
