"""`python -m local.experiment COMMAND`."""

import sys

from local.experiment.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
