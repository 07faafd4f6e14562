"""What runs: configurations, who may serve, assignment, counting, the life cycle."""
