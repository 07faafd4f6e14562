"""How often the gates cry wolf: two months of a healthy shop, run day by day, and every warning counted.

    python -m benchmarks.gates --days 60                            # a generated shop
    python -m benchmarks.gates --days 60 --source complete-journey   # a real grocer, its holidays included

Prints the days, the verdicts by gate that were judged, and each warning. Four weeks are run before the counting
starts, because volumes are held against them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm

from warehouse.build import Plan
from warehouse.engine import open_local
from warehouse.loading import append
from warehouse.pipeline import run_day
from warehouse.sources import complete_journey, generated
from warehouse.statements import create_layers, execute

WEEKS_BEFORE = 4


def main(arguments: list[str] | None = None) -> int:
    """Run the days, print the counts as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--source", choices=(complete_journey.SOURCE, generated.SOURCE), default=generated.SOURCE)
    parser.add_argument("--today", type=date.fromisoformat, default=date(2026, 3, 2))
    options = parser.parse_args(arguments)
    print(json.dumps(count_warnings(options.source, options.days, options.today), indent=2))
    return 0


def count_warnings(source: str, days: int, today: date) -> dict[str, Any]:
    """The warnings of `days` healthy days, and how many verdicts had something to judge."""
    plan = Plan(source, days=WEEKS_BEFORE * 7 + days + 30)
    history = plan.load(today)
    count = days + WEEKS_BEFORE * 7
    counted_from = history.until.date() - timedelta(days=days - 1)
    warnings: list[str] = []
    with tempfile.TemporaryDirectory() as folder, open_local(Path(folder)) as warehouse:
        connection = warehouse.connection
        create_layers(connection)
        for loaded_at, frames in tqdm(history.deliveries(count), total=count + 1, unit="day", file=sys.stderr):
            day = history.first_run(count) if "items" in frames else loaded_at.date()
            for name, frame in frames.items():
                append(connection, name, frame, load_id=f"{day}/{name}", loaded_at=loaded_at)
            found = run_day(connection, day).warnings
            warnings += [f"{day} {text}" for text in found if day >= counted_from]
        judged = execute(
            connection,
            "select name, sum(iff(count_checked > 0, 1, 0)) from quality.results where run_on >= %(day)s group by name",
            {"day": counted_from},
        )
    return {
        "source": source,
        "days": days,
        "verdicts": sum(int(number) for _, number in judged),
        "judged_days": {name: int(number) for name, number in sorted(judged)},
        "warnings_by_gate": Counter(text.split()[1].rstrip(":") for text in warnings),
        "warnings": warnings,
    }


if __name__ == "__main__":
    sys.exit(main())
