"""The owner's report: findings, claims and caveats in words."""
