"""The whole system on one machine: `recommender run`."""
