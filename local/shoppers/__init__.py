"""Simulated shoppers: seeded visitors with known tastes, who use the running shop over HTTP as browsers do."""
