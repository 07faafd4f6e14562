"""`python -m warehouse.export --database DIR --to PLACE [--full]`: write the exports by hand, as the schedule does.

PLACE is a folder or an s3:// prefix; named by its day, as s3://bucket/shop/2026-01-03, it takes over from the newest
day before what has not changed. `--full` writes every month anew. One JSON line on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recommender.errors import RecommenderError

from warehouse.daily import export_to
from warehouse.engine import open_warehouse
from warehouse.statements import create_layers


def main(arguments: list[str] | None = None) -> int:
    """Parse, export, print. Exit code 1 with one sentence where the warehouse or the place says no."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC).replace(tzinfo=None)
    try:
        with open_warehouse(os.environ, directory=options.database) as warehouse:
            create_layers(warehouse.connection)
            uri = export_to(warehouse, options.to, now=now, s3=_client(options.to), full=options.full)
    except (RecommenderError, OSError) as error:
        print(f"warehouse.export: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"exports": uri, "full": options.full}))
    return 0


def _client(target: str) -> Any:
    if not target.startswith("s3://"):
        return None
    import boto3

    return boto3.client("s3")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m warehouse.export", description=__doc__)
    parser.add_argument("--database", type=Path, required=True, help="folder of the embedded warehouse")
    parser.add_argument("--to", required=True, help="folder or s3:// prefix")
    parser.add_argument("--full", action="store_true", help="write every month anew")
    return parser


if __name__ == "__main__":
    sys.exit(main())
