"""The browser side: sizes and names."""
