"""Running experiments: configurations, permission to serve, assignment, counting, the life cycle."""
