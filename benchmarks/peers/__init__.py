"""Other people's recommenders in the same run: an environment of their own, the same questions, the same scoring."""
