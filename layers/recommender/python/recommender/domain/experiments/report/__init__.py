"""What an owner reads: findings, claims and caveats in words."""
