"""One module per stack: composition only."""
