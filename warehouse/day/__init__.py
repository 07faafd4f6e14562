"""One day of the warehouse: steps, runs, checks, erasures, schedule."""
