"""Training jobs, their statistics, and the pipeline that runs them."""
