"""Mutation check of the domain: `make mutate`."""
