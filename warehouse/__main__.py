"""`python -m warehouse build`: one JSON line on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from recommender.errors import RecommenderError
from tqdm import tqdm

from warehouse.build import Paths, Plan, build, count_steps
from warehouse.sources import complete_journey, generated


def main(arguments: list[str] | None = None) -> int:
    """Parse, build, print. Exit code 1 with one sentence where the build says no."""
    options = _parser().parse_args(arguments)
    plan = Plan(options.source, options.shoppers, options.items, options.days, options.seed)
    paths = Paths(options.database, options.exports, options.landing)
    now = datetime.now(UTC).replace(tzinfo=None)
    if options.today is not None:
        now = datetime.combine(options.today, time(12))
    try:
        summary = _build(plan, paths, now=now, rebuild=options.rebuild)
    except (RecommenderError, OSError) as error:
        print(f"warehouse: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary))
    return 0


def _build(plan: Plan, paths: Paths, *, now: datetime, rebuild: bool) -> dict[str, Any]:
    with tqdm(total=count_steps(), desc="warehouse", unit="step", file=sys.stderr, leave=False) as bar:

        def on_step(step: str) -> None:
            bar.set_postfix_str(step)
            bar.update()

        return build(plan, paths, now=now, rebuild=rebuild, on_step=on_step)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m warehouse", description=__doc__)
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "build", help="history in bulk, three daily increments, exports; does nothing where all is there"
    )
    command.add_argument("--source", choices=(complete_journey.SOURCE, generated.SOURCE), required=True)
    command.add_argument("--database", type=Path, required=True, help="folder of the embedded warehouse")
    command.add_argument("--exports", type=Path, required=True, help="folder for the Parquet exports")
    command.add_argument("--landing", type=Path, help="folder of JSON lines that the running shop has landed")
    command.add_argument("--today", type=date.fromisoformat, help="the data end before this day (default: today, UTC)")
    command.add_argument("--rebuild", action="store_true", help="throw away what is there")
    for name in ("shoppers", "items", "days", "seed"):
        default = getattr(Plan(generated.SOURCE), name)
        command.add_argument(f"--{name}", type=int, default=default, help="of the generated shop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
