"""What training has learned, as arrays with the formulas that read them."""
