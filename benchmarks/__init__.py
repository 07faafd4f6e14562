"""Measurements of the product beside other methods: `python -m benchmarks.<name>`."""

import warehouse as _  # noqa: F401 - it finds the package `recommender`, so that commands run as they are printed
