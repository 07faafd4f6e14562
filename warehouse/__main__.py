"""`recommender warehouse build | generate | backfill | export | erase | withdraw | runs | doctor`.

A JSON line on stdout, progress on stderr. `doctor` prints for a person unless --json is given, and its exit code is
0 ok, 1 warn, 2 stop.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from recommender.contracts.fields import problem
from recommender.contracts.folders import REPORT, claim
from recommender.errors import NotFound, RecommenderError
from tqdm import tqdm

from warehouse.build import Paths, Plan, build, count_steps
from warehouse.connect import DATABASE_FILES, Warehouse, open_warehouse
from warehouse.day.day import REPORTED
from warehouse.day.doctor import diagnose
from warehouse.day.doctor_page import write_report
from warehouse.day.erasures import erase_now, request_erasure
from warehouse.day.export_command import add_options as export_options
from warehouse.day.export_command import export
from warehouse.day.runs import read_runs
from warehouse.day.schedule import DAYS_AT_ONCE, backfill, pieces
from warehouse.engine.schema import create_layers, drop_derived
from warehouse.generate import add_options, generate
from warehouse.raw.landed_events import withdraw
from warehouse.sources import complete_journey, generated
from warehouse.tables import RAW


def main(arguments: list[str] | None = None) -> int:
    """Parse, do, print. Exit code 1 with one sentence on refusal."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], dict[str, Any] | int] = options.run
    try:
        answer = command(options)
    except (RecommenderError, OSError) as error:
        print(f"warehouse: {error}", file=sys.stderr)
        return 1
    if isinstance(answer, int):
        return answer
    print(json.dumps(answer))
    return 0


def _build(options: argparse.Namespace) -> dict[str, Any]:
    plan = Plan(options.source, options.shoppers, options.items, options.days, options.seed)
    paths = Paths(options.database, options.exports, options.landing)
    now = _now() if options.today is None else datetime.combine(options.today, time(12))
    with _bar(count_steps()) as bar:
        return build(plan, paths, now=now, rebuild=options.rebuild, on_step=_advance(bar))


def _backfill(options: argparse.Namespace) -> dict[str, Any]:
    first, last = options.first, options.last
    count = len(pieces(first, last, options.days_at_once))
    with _existing(options.database) as warehouse, _bar(count * len(REPORTED)) as bar:
        if options.anew:
            drop_derived(warehouse.connection)
        create_layers(warehouse.connection)
        runs = backfill(warehouse.connection, first, last, days_at_once=options.days_at_once, on_step=_advance(bar))
    return {
        "from": str(first),
        "to": str(last),
        "runs": len(runs),
        "changed": sum(sum(run.changed.values()) for run in runs),
        "erased": sum(sum(run.erased.values()) for run in runs),
        "warnings": [warning for run in runs for warning in run.warnings],
    }


def _erase(options: argparse.Namespace) -> dict[str, Any]:
    now = _now()
    listed = [line for path in options.file for line in path.read_text(encoding="utf-8-sig").splitlines()]
    shoppers = list(dict.fromkeys([*options.shopper, *filter(None, map(str.strip, listed))]))
    if not shoppers:
        raise problem("/shopper", "nobody", "--shopper ID or --file FILE with an id a line")
    with _existing(options.database) as warehouse:
        requests = request_erasure(warehouse.connection, shoppers, now=now)
        return {"requests": requests, "deleted": erase_now(warehouse.connection, now=now)}


def _withdraw(options: argparse.Namespace) -> dict[str, Any]:
    with _existing(options.database) as warehouse:
        rows = withdraw(warehouse.connection, options.table, options.loaded_at)
    return {"table": options.table, "loaded_at": str(options.loaded_at), "withdrawn": rows}


def _export(options: argparse.Namespace) -> dict[str, Any]:
    with _existing(options.database) as warehouse:
        return export(warehouse, options, now=_now())


def _runs(options: argparse.Namespace) -> dict[str, Any]:
    names = ("first_day", "last_day", "status", "started_at", "finished_at", "message")
    with _existing(options.database) as warehouse:
        rows = read_runs(warehouse.connection, limit=options.limit)
    return {"runs": [{name: _text(value) for name, value in zip(names, row, strict=True)} for row in rows]}


def _doctor(options: argparse.Namespace) -> int:
    if options.out is not None:
        claim(options.out, REPORT)
    with _existing(options.database) as warehouse:
        diagnosis = diagnose(warehouse.connection, options.day)
    print(json.dumps(diagnosis.to_body()) if options.json else diagnosis.to_text(str(options.database)))
    if options.out is not None:
        print(write_report(diagnosis, options.out), file=sys.stderr if options.json else sys.stdout)
    return diagnosis.exit_code


@contextmanager
def _existing(directory: Path) -> Iterator[Warehouse]:
    """The warehouse, brought up to date. Raises NotFound where there is none: looking at one must not make it."""
    if not os.environ.get("SNOWFLAKE_ACCOUNT") and not (directory / DATABASE_FILES[0]).is_file():
        raise NotFound(
            f"there is no warehouse in {directory}; make one with `recommender warehouse build` or `python -m"
            " warehouse.load`",
            code="no_warehouse",
        )
    with open_warehouse(os.environ, directory=directory) as warehouse:
        create_layers(warehouse.connection)
        yield warehouse


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _bar(total: int) -> Any:
    return tqdm(total=total, desc="warehouse", unit="step", file=sys.stderr, leave=False)


def _advance(bar: Any) -> Callable[[str], None]:
    def on_step(step: str) -> None:
        bar.set_postfix_str(step)
        bar.update()

    return on_step


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender warehouse", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        made.add_argument("--database", type=Path, required=True, help="folder of the embedded warehouse")
        return made

    _build_options(
        command("build", _build, "history in bulk, three daily increments, exports; nothing where all is there")
    )
    text = "a seeded synthetic history of any size, as Parquet files or into a warehouse"
    made = commands.add_parser("generate", help=text, description=text)
    made.set_defaults(run=generate)
    add_options(made)
    again = command("backfill", _backfill, "run a range of days, oldest first; equals their daily runs")
    again.add_argument("--from", dest="first", type=date.fromisoformat, required=True, help="first day, YYYY-MM-DD")
    again.add_argument("--to", dest="last", type=date.fromisoformat, required=True, help="last day, YYYY-MM-DD")
    again.add_argument("--days-at-once", type=int, default=DAYS_AT_ONCE, help="days in one transaction")
    again.add_argument("--anew", action="store_true", help="forget staging and marts first, and derive all from raw")
    write = command("export", _export, "write what training reads, after taking in what the running shop has landed")
    export_options(write)
    erase = command("erase", _erase, "delete shoppers from raw, staging and marts now; the next export lacks them")
    erase.add_argument("--shopper", action="append", default=[], help="user id or visitor id; may be repeated")
    erase.add_argument("--file", type=Path, action="append", default=[], help="ids, one a line; may be repeated")
    back = command("withdraw", _withdraw, "take back a delivery that no run has taken, as of a stopped day")
    back.add_argument("--table", choices=sorted(RAW), required=True)
    back.add_argument("--loaded-at", type=datetime.fromisoformat, required=True, help="as `doctor` prints it")
    runs = command("runs", _runs, "the newest runs and what came of them")
    runs.add_argument("--limit", type=int, default=20)
    doctor = command("doctor", _doctor, "explain what failed on a day; exit code 0 ok, 1 warn, 2 stop")
    doctor.add_argument("--day", type=date.fromisoformat, help="YYYY-MM-DD (default: the newest that was run)")
    doctor.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    doctor.add_argument("--out", type=Path, help="folder for quality.html and quality.json")
    return parser


def _build_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--source", choices=(complete_journey.SOURCE, generated.SOURCE), required=True)
    command.add_argument("--exports", type=Path, required=True, help="folder for the Parquet exports")
    command.add_argument("--landing", type=Path, help="folder of JSON lines that the running shop has landed")
    command.add_argument("--today", type=date.fromisoformat, help="the data end before this day (default: today, UTC)")
    command.add_argument("--rebuild", action="store_true", help="throw away what is there")
    for name in ("shoppers", "items", "days", "seed"):
        default = getattr(Plan(generated.SOURCE), name)
        command.add_argument(f"--{name}", type=int, default=default, help="of the generated shop")


if __name__ == "__main__":
    sys.exit(main())
