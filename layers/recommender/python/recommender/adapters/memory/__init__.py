"""The ports in memory: what tests and the smallest local run use in place of AWS."""
