"""Measurements of the product beside other methods: `recommender bench <name>`."""
