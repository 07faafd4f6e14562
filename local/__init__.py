"""The whole system on one machine: `python -m local run`."""

import warehouse as _  # noqa: F401 - it finds the package `recommender`, so that commands run as they are printed
