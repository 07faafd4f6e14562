"""The synthesised templates, by their properties."""
