"""`python -m local COMMAND` is `recommender COMMAND`."""

from local.cli import main

if __name__ == "__main__":
    main(prog_name="recommender")
