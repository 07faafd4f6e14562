"""`python -m local.experiment_report EXPERIMENT`."""

import sys

from local.experiment_report.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
