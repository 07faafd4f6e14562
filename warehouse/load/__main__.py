"""`recommender load --events FILE … --database DIR`: a shop's own files into the warehouse.

CSV, JSON lines, Parquet or the GA4 export. Mapping, counts and reasons go to stderr, one JSON line to stdout;
values of rows are shown by --dry-run alone, which writes nothing. Exit code 0: done, 1: the data or the
warehouse refuses, 2: the call is wrong.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from recommender.contracts.folders import REJECTS, claim
from recommender.errors import InvalidInput, RecommenderError
from tqdm import tqdm

from warehouse.connect import open_warehouse
from warehouse.day.day import run_day
from warehouse.day.doctor import diagnose
from warehouse.day.quality import QualityStop
from warehouse.day.schedule import export_to
from warehouse.engine.schema import create_layers
from warehouse.engine.statements import Connection
from warehouse.load.delivery import MOST_REJECTED, Delivery, Outcome, load_delivery, read_delivery
from warehouse.load.files import find
from warehouse.load.mapping import TABLES, read_mapping
from warehouse.load.reconciliation import MOST_LOST, reconcile


def main(arguments: list[str] | None = None) -> int:
    """Parse, load every file in the order items, purchases, events, reviews, shoppers, print."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        stated = read_mapping(options.mapping)
    except (InvalidInput, OSError) as error:
        parser.error(str(error))
    if not any(getattr(options, table) for table in TABLES):
        parser.error("no file: give at least one of " + ", ".join(f"--{table}" for table in TABLES))
    if options.database is None and not options.dry_run:
        parser.error("--database is needed, except with --dry-run")
    if options.exports is not None and not options.run:
        parser.error("--exports is written after a run: give --run as well")
    answer: dict[str, Any] = {"files": []}
    try:
        if options.rejects_out is not None:
            claim(options.rejects_out, REJECTS)
        deliveries = _deliveries(options, stated)
        if options.dry_run:
            answer = _dry_run(deliveries)
        else:
            _load(deliveries, options, answer)
    except (RecommenderError, OSError) as error:
        print(f"load: {error}", file=sys.stderr)
        if answer["files"]:  # those before it are loaded and will be skipped the next time
            print(json.dumps({**answer, "failed": str(error)}, default=str))
        return 1
    print(json.dumps(answer, default=str))
    return 1 if {"stopped", "lost"} & answer.get("run", {}).keys() else 0


def _deliveries(options: argparse.Namespace, stated: dict[str, dict[str, Any]]) -> list[Delivery]:
    return [
        Delivery(
            table,
            found.path,
            options.loaded_at,
            stated.get(table, {}),
            options.encoding,
            most_rejected=options.most_rejected,
            partition=found.partition,
            called=found.name,
            may_be_empty=found.is_one_of_many,
            rejects_out=options.rejects_out,
        )
        for table in TABLES
        for argument in getattr(options, table)
        for found in find(argument)
    ]


def _dry_run(deliveries: list[Delivery]) -> dict[str, Any]:
    files = []
    for delivery in deliveries:
        with tempfile.TemporaryDirectory() as folder, _bar(delivery) as bar:
            read = read_delivery(delivery, Path(folder), on_rows=bar.update)
        files.append(
            {
                "table": delivery.table,
                "file": delivery.name,
                "mapping": read.mapping.lines() if read.mapping else [],
                "rows": read.rows,
                "good": read.good,
                "ignored": read.ignored,
                "rejected": read.rejected,
                "reasons": read.reasons(),
                "repeated": read.repeated,
                "first_rows": read.first_rows,
            }
        )
    return {"dry_run": True, "files": files}


def _load(deliveries: list[Delivery], options: argparse.Namespace, answer: dict[str, Any]) -> None:
    """Load every file, then run the day and export as the options say; `answer` grows with each step."""
    with open_warehouse(os.environ, directory=options.database) as warehouse:
        create_layers(warehouse.connection)
        shown: set[tuple[str, tuple[str, ...]]] = set()
        outcomes: list[Outcome] = []
        for delivery in deliveries:
            with _bar(delivery) as bar:
                outcome = load_delivery(warehouse.connection, delivery, on_rows=bar.update)
            outcomes.append(outcome)
            answer["files"].append(outcome.to_body())
            if (delivery.table, outcome.mapping) not in shown:  # once for many files that are alike
                shown.add((delivery.table, outcome.mapping))
                for line in outcome.mapping:
                    print(f"{delivery.table}: {line}", file=sys.stderr)
        if options.run:
            answer["run"] = _run(warehouse.connection, options.loaded_at.date())
            answer["run"] |= _reconcile(warehouse.connection, outcomes, options, is_run="stopped" not in answer["run"])
        if options.exports is not None and not {"stopped", "lost"} & answer["run"].keys():
            export_to(warehouse, str(options.exports), now=options.loaded_at)
            answer["exports"] = str(options.exports)


def _run(connection: Connection, day: date) -> dict[str, Any]:
    """Run the day and explain its checks as `doctor` does; what was loaded stays in raw where a check stops the day."""
    outcome: dict[str, Any] = {"day": day}
    try:
        outcome["changed"] = sum(run_day(connection, day).changed.values())
    except QualityStop as error:
        outcome["stopped"] = str(error)
    diagnosis = diagnose(connection, day)
    print(diagnosis.to_text(), file=sys.stderr)
    return {**outcome, "state": diagnosis.state, "failed": [finding.name for finding in diagnosis.findings]}


def _reconcile(
    connection: Connection, outcomes: list[Outcome], options: argparse.Namespace, *, is_run: bool
) -> dict[str, Any]:
    """Print the outcome of the rows; where too much is lost, add one sentence."""
    found = reconcile(connection, outcomes, options.loaded_at, is_run=is_run)
    print(found.to_text(), file=sys.stderr)
    share, sentence = found.lost()
    if share <= options.most_lost:
        return {"reconciliation": found.to_body()}
    said = f"{sentence}, at most {options.most_lost:.0%} may be (--most-lost)"
    print(f"load: {said}", file=sys.stderr)
    return {"reconciliation": found.to_body(), "lost": said}


def _bar(delivery: Delivery) -> Any:
    return tqdm(desc=delivery.name, unit=" rows", file=sys.stderr, leave=False, unit_scale=True)


def _moment(text: str) -> datetime:
    """Naive UTC; a time without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name
    except LookupError as error:
        raise argparse.ArgumentTypeError(f"no encoding is called {text!r}") from error


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender load", description=__doc__)
    for table in TABLES:
        parser.add_argument(
            f"--{table}", nargs="+", action="extend", default=[], metavar="FILE", help="files, folders, patterns"
        )
    parser.add_argument("--database", type=Path, help="folder of the embedded warehouse")
    parser.add_argument("--mapping", type=Path, help="JSON file: which column is which (docs/data.md)")
    parser.add_argument(
        "--dry-run", action="store_true", help="show mapping, counts, first rows, reasons; write nothing"
    )
    parser.add_argument("--run", action="store_true", help="then run the day of --loaded-at")
    parser.add_argument("--exports", type=Path, metavar="DIR", help="after --run, write what training reads")
    parser.add_argument("--rejects-out", type=Path, metavar="DIR", help="write refused rows as CSV, to be corrected")
    parser.add_argument("--encoding", type=_encoding, default="utf-8", help="of text files (default: utf-8)")
    parser.add_argument(
        "--most-rejected", type=_share, default=MOST_REJECTED, help="share of rows; more of them stop a file"
    )
    parser.add_argument(
        "--most-lost",
        type=_share,
        default=MOST_LOST,
        help="share of rows, orders, units, money or shoppers that may be lost on the way; more of them fail --run",
    )
    now = datetime.now(UTC).replace(tzinfo=None)
    parser.add_argument("--loaded-at", type=_moment, default=now, help="RFC 3339 (default: now)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
