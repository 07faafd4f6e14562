"""A mart, a staging table, an export or a raw table is written in several files; each test names the file to open.

Add `warehouse/sql/marts/new.sql` alone, run this file, and its failures are the list of what is left to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from recommender.contracts.exports import EXPORT_VERSION, EXPORTS, ORDER

from warehouse.build import LAYERS
from warehouse.day import checks
from warehouse.day.day import STEPS
from warehouse.engine.schema import declared_tables
from warehouse.engine.statements import HERE
from warehouse.load.mapping import TABLES
from warehouse.load.reconciliation import STAGED
from warehouse.raw.raw_append import REQUIRED
from warehouse.tables import RAW

DOCS = Path(__file__).parents[2] / "docs" / "data.md"
CONSTANTS = {"margin_rules"}  # filled by the DDL itself
NOT_EXPORTED = {
    "browse_sequences": "training counts sequences from session_events",
    "carts": "read by reports of the shop",
    "item_history": "read by order_lines and the views of prices and stock",
    "sessions": "read by reports of the shop",
    "shopper_profiles": "exported by way of the view marts.shoppers",
}
# Tables of the run's window: ops tables that 25_touched.sql declares, or a bound among the parameters.
WINDOW = re.compile(r"%\((?:loaded_from|sessions_from|events_from)\)s|ops\.(?:touched|visit)_\w+")
READ = re.compile(r"(?:from|join)\s+((?:marts|staging|ops)\.\w+)")
WRITTEN = re.compile(r"^(?:merge into|insert into)\s+((?:marts|staging|ops)\.\w+)", re.MULTILINE)


def stems(folder: str, prefix: str = "") -> set[str]:
    return {path.stem for path in (HERE / folder).glob(f"{prefix}*.sql")}


def tables(schema: str) -> set[str]:
    return {name.removeprefix(f"{schema}.") for name in declared_tables() if name.startswith(f"{schema}.")}


def text(step: str) -> str:
    return "\n".join(line for line in (HERE / step).read_text().splitlines() if not line.startswith("--"))


def todo(names: Iterable[str], message: str) -> str:
    return "\n".join(message.format(name) for name in sorted(names))


def test_every_file_of_staging_and_marts_is_a_step_of_the_day() -> None:
    files = {f"{folder}/{stem}.sql" for folder in ("staging", "marts") for stem in stems(folder)}

    assert not files - set(STEPS), todo(files - set(STEPS), "add {} to STEPS in warehouse/day/day.py")
    assert not set(STEPS) - files, todo(set(STEPS) - files, "write warehouse/sql/{}, a step of warehouse/day/day.py")
    assert len(set(STEPS)) == len(STEPS)


def test_every_mart_and_every_staging_table_is_declared_and_filled() -> None:
    marts, staged = tables("marts") - CONSTANTS, tables("staging")

    undeclared = todo(stems("marts") - marts, "create table marts.{} in warehouse/sql/ddl/40_marts.sql")
    assert not undeclared, undeclared
    unfilled = todo(marts - stems("marts"), "fill marts.{0} in warehouse/sql/marts/{0}.sql")
    assert not unfilled, unfilled
    undeclared = todo(stems("staging", "stg_") - staged, "create table staging.{} in warehouse/sql/ddl/30_staging.sql")
    assert not undeclared, undeclared
    unfilled = todo(staged - stems("staging", "stg_"), "fill staging.{0} in warehouse/sql/staging/{0}.sql")
    assert not unfilled, unfilled


def test_every_mart_reads_a_window_or_a_list_of_what_the_run_touches() -> None:
    unbounded = [step for step in STEPS if step.startswith("marts/") and not WINDOW.search(text(step))]

    assert not unbounded, todo(
        unbounded,
        "warehouse/sql/{} reads all history each night: join a list of warehouse/sql/ddl/25_touched.sql, which"
        " staging/touched.sql writes, or bound it by the load window",
    )


def test_every_list_of_what_a_run_touches_is_written_anew_and_read() -> None:
    steps = {step: text(step) for step in STEPS}
    lists = {f"ops.{name}" for name in tables("ops") if name.startswith(("touched_", "visit_"))} - {"ops.touched_items"}

    unwritten = {name for name in lists if not any(f"delete from {name};" in sql for sql in steps.values())}
    assert not unwritten, todo(unwritten, "delete and fill {} in warehouse/sql/staging/touched.sql")
    unread = lists - {name for sql in steps.values() for name in READ.findall(sql)}
    assert not unread, todo(unread, "no step reads {}: drop it from warehouse/sql/ddl/25_touched.sql")


def test_a_step_reads_what_steps_before_it_have_written() -> None:
    written_by = {name: step for step in STEPS for name in WRITTEN.findall(text(step))}
    late = [
        f"move {written_by[name]} before {step} in STEPS of warehouse/day/day.py: it writes {name}"
        for number, step in enumerate(STEPS)
        if step != "staging/touched.sql"  # compares the window with the tables as the run before left them
        for name in set(READ.findall(text(step))) - set(WRITTEN.findall(text(step)))
        if name in written_by and STEPS.index(written_by[name]) > number
    ]

    assert not late, "\n".join(late)


def test_every_table_is_counted_by_a_build_and_compared_by_the_tests_of_reruns() -> None:
    for schema, constants in (("staging", set()), ("marts", CONSTANTS)):
        uncounted = tables(schema) - constants - set(LAYERS[schema])
        assert not uncounted, todo(uncounted, f'add {{}} to LAYERS["{schema}"] in warehouse/build.py')


def test_every_mart_is_exported_or_has_a_reason_not_to_be() -> None:
    views = "".join(path.read_text() for path in (HERE / "exports").glob("*.sql"))
    exported = {name.removeprefix("marts.") for name in READ.findall(views)}

    undecided = tables("marts") - CONSTANTS - exported - set(NOT_EXPORTED)
    assert not undecided, todo(
        undecided,
        f"export marts.{{0}} in warehouse/sql/exports/{{0}}_{EXPORT_VERSION}.sql, or give the reason why not to"
        " NOT_EXPORTED in tests/warehouse/test_adding_a_mart.py",
    )
    assert not exported & set(NOT_EXPORTED)
    assert set(NOT_EXPORTED) <= tables("marts")


def test_every_export_has_a_view_columns_and_an_order() -> None:
    views = {stem.removesuffix(f"_{EXPORT_VERSION}") for stem in stems("exports")}

    lacking = todo(views - set(EXPORTS), "add the columns of {} to EXPORTS in recommender/contracts/exports.py")
    assert not lacking, lacking
    lacking = todo(set(EXPORTS) - views, f"write warehouse/sql/exports/{{}}_{EXPORT_VERSION}.sql")
    assert not lacking, lacking
    lacking = todo(set(EXPORTS) - set(ORDER), "add the order of {} to ORDER in recommender/contracts/exports.py")
    assert not lacking, lacking


def test_every_mart_is_in_the_table_of_marts_in_the_documentation() -> None:
    section = DOCS.read_text().split("| mart |")[1].split("\n\n")[0]
    documented = {name for row in section.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    undocumented = tables("marts") - CONSTANTS - documented
    assert not undocumented, todo(undocumented, "describe {} in the table of marts in docs/data.md")


def test_every_module_of_checks_is_run() -> None:
    folder = Path(checks.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if "\nCHECKS: Final" in path.read_text()} - {"__init__"}
    run = {name for name in modules if f"*{name}.CHECKS" in (folder / "__init__.py").read_text()}

    assert not modules - run, todo(modules - run, "add {}.CHECKS to CHECKS in warehouse/day/checks/__init__.py")
    names = [check.name for check in checks.CHECKS]
    assert len(set(names)) == len(names)


def test_every_raw_table_has_its_required_columns_and_a_way_in() -> None:
    lacking = todo(
        set(RAW) - set(REQUIRED), "add the required columns of {} to REQUIRED in warehouse/raw/raw_append.py"
    )
    assert not lacking, lacking
    by_hand = {"erasures"}  # `recommender warehouse erase`, never a file of a shop
    unloaded = set(RAW) - set(TABLES) - by_hand
    assert not unloaded, todo(unloaded, "add {} to TABLES in warehouse/load/mapping.py")
    uncounted = set(TABLES) - set(STAGED) - {"purchases"}
    assert not uncounted, todo(uncounted, "add {} to STAGED in warehouse/load/reconciliation.py")
    uncreated = {name for name in RAW if f"raw.{name}" not in declared_tables()}
    assert not uncreated, todo(uncreated, "create table raw.{} in warehouse/sql/ddl/20_raw.sql")
