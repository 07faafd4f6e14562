"""Trained models as arrays, with the formulas that read them."""
