"""Experiments from the command line: `recommender experiment COMMAND`."""

from local.experiment.command import main

__all__ = ["main"]
