"""The report of an experiment as one HTML page with plots, beside its JSON."""

from local.experiment_report.command import main

__all__ = ["main"]
