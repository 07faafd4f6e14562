"""The CDK application. `python app.py` synthesises into $CDK_OUTDIR; `cdk deploy` runs it through cdk.json.

Neither an account nor Docker nor a network is needed. The context of cdk.json holds what a deployment chooses.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cdk.node import use_bundled_node

sys.path.insert(0, str(Path(__file__).parent / "layers" / "recommender" / "python"))  # the contracts
use_bundled_node(os.environ)  # before aws_cdk is imported

from recommender.contracts.folders import TEMPLATES, claim  # noqa: E402
from recommender.errors import Conflict  # noqa: E402

from cdk.composition import compose, new_app  # noqa: E402
from cdk.deployment import WrongContext  # noqa: E402


def main() -> None:
    """Compose the stacks of the chosen environment and write their templates."""
    try:
        if outdir := os.environ.get("CDK_OUTDIR"):
            claim(Path(outdir), TEMPLATES)
        app = new_app()
        compose(app)
    except (WrongContext, Conflict) as error:
        sys.exit(f"{error}.")
    app.synth()


if __name__ == "__main__":
    main()
