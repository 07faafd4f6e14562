"""What is counted from exports: catalogue, purchases, visits, contexts, cohorts."""
