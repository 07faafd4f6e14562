"""Counts over the exports: catalogue, purchases, visits, contexts, cohorts, first purchases."""
