"""Experiments from the command line: `python -m local experiment COMMAND`."""

from local.experiment.command import main

__all__ = ["main"]
