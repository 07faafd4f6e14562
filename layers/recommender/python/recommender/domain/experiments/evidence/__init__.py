"""What counts say: posteriors, decisions, checks, forecasts."""
