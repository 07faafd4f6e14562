"""Evidence from counts: posteriors, decisions, checks, forecasts."""
