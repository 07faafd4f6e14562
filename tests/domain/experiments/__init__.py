"""Tests of the experiments' statistics."""
