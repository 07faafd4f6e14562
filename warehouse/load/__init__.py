"""From a shop's files and the landing folder to raw tables."""
