"""SQL that only Snowflake can run: it parses, says so, and names nothing that the layers do not have.

What sqlglot can only carry as a Command is no proof of syntax, so those statements are listed by their first words.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from warehouse.engine.statements import HERE
from warehouse.tables import RAW

FILES = sorted((HERE / "snowflake").glob("*.sql"))
ACCOUNT_COMMANDS = {
    "alter table",
    "alter user",
    "alter warehouse",
    "create masking",
    "create network",
    "create pipe",
    "create resource",
    "create role",
    "create user",
    "grant ownership",
    "grant role",
    "grant select",
    "grant select,",
}


def _parsed(path: Path) -> list[exp.Expression]:
    return [one for one in sqlglot.parse(path.read_text(), dialect="snowflake") if one is not None]


def _names(kind: str) -> set[str]:
    """Schema-qualified names of what warehouse/ddl and warehouse/exports create."""
    found = set()
    for path in [*sorted((HERE / "ddl").glob("*.sql")), *sorted((HERE / "exports").glob("*.sql"))]:
        for statement in _parsed(path):
            if isinstance(statement, exp.Create) and statement.args["kind"].upper() == kind:
                table = statement.find(exp.Table)
                assert table is not None
                found.add(table.name if kind == "SCHEMA" else f"{table.db}.{table.name}")
                if kind == "SCHEMA":
                    found.add(table.db)
    return found


def test_the_files_are_there_in_the_order_in_which_they_are_run() -> None:
    assert [path.name for path in FILES] == [
        "10_roles.sql",
        "20_warehouses.sql",
        "30_storage.sql",
        "40_pipe.sql",
        "50_grants.sql",
        "60_keeping.sql",
        "70_masking.sql",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_says_that_it_is_snowflakes(path: Path) -> None:
    assert path.read_text().startswith("-- Snowflake only. Run as ")
    assert _parsed(path)


def test_what_only_passes_as_a_command_is_known_by_name() -> None:
    opaque = {
        " ".join(statement.sql(dialect="snowflake", comments=False).lower().split()[:2])
        for path in FILES
        for statement in _parsed(path)
        if isinstance(statement, exp.Command)
    }

    assert opaque == ACCOUNT_COMMANDS


def test_every_table_that_is_granted_altered_or_filled_exists() -> None:
    text = " ".join(" ".join(path.read_text().split()) for path in FILES)
    words = text.replace(",", " ").replace("(", " ").split()
    named = {
        words[place + 1].rstrip(";").removeprefix("recommender.")
        for place, word in enumerate(words)
        if word in ("table", "into") and words[place + 1].startswith("recommender.")
    }

    assert len(named) > 15
    assert named <= _names("TABLE")


def test_every_schema_that_is_granted_exists() -> None:
    words = " ".join(path.read_text() for path in FILES).split()
    named = {
        words[place + 1].rstrip(";").removeprefix("recommender.")
        for place, word in enumerate(words)
        if word == "schema" and words[place + 1].startswith("recommender.")
    }

    assert named == {"raw", "staging", "marts", "exports", "ops", "quality"}
    assert named <= _names("SCHEMA")


def test_the_pipe_fills_the_columns_of_raw_events_in_their_order() -> None:
    text = (HERE / "snowflake/40_pipe.sql").read_text()
    filled = text.split("recommender.raw.events (")[1].split(")")[0].replace("\n", " ").split(",")

    assert [name.strip() for name in filled] == [*(name for name, _ in RAW["events"]), "loaded_at"]
    for name, _ in RAW["events"]:
        assert f"$1:{name}" in text
    (copied,) = sqlglot.parse(text.split("\nas\n")[1], dialect="snowflake")
    assert isinstance(copied, exp.Copy)


def test_the_clustering_keys_are_columns_of_their_tables() -> None:
    columns = _columns_of_tables()
    for line in (HERE / "snowflake/60_keeping.sql").read_text().splitlines():
        if "cluster by" in line:
            table, column = line.split()[2].removeprefix("recommender."), line.split("to_date(")[1].split(")")[0]
            assert column in columns[table]


def test_no_service_may_sign_in_with_a_password() -> None:
    text = (HERE / "snowflake/10_roles.sql").read_text()

    assert "rsa_public_key" in text
    assert "password =" not in text


def _columns_of_tables() -> dict[str, set[str]]:
    return {
        f"{table.db}.{table.name}": {column.name for column in statement.find_all(exp.ColumnDef)}
        for path in sorted((HERE / "ddl").glob("*.sql"))
        for statement in _parsed(path)
        if isinstance(statement, exp.Create) and (table := statement.find(exp.Table)) is not None
    }


def test_readers_see_no_id_of_a_shopper_in_any_mart() -> None:
    text = " ".join((HERE / "snowflake/70_masking.sql").read_text().split())
    masked = {
        (words[2].removeprefix("recommender."), words[5])
        for words in (piece.split() for piece in text.split("; "))
        if words[:2] == ["alter", "table"]
    }
    personal = {
        (table, column)
        for table, columns in _columns_of_tables().items()
        if table.startswith("marts.")
        for column in columns & {"shopper_id", "visitor_id", "attributes"}
    }

    assert masked == personal
    assert len(personal) > 10


def test_work_tables_with_ids_have_no_past() -> None:
    """Transient: no fail-safe; retention 0: no time travel. What a run starts anew would only be a shopper's shadow."""
    ddl = "".join(path.read_text() for path in sorted((HERE / "ddl").glob("*.sql")))
    transient = {line.split()[6] for line in ddl.splitlines() if line.startswith("create transient table")}
    forgotten = {
        line.split()[2].removeprefix("recommender.")
        for line in (HERE / "snowflake/60_keeping.sql").read_text().splitlines()
        if line.endswith("data_retention_time_in_days = 0;")
    }

    assert {"ops.visit_events", "ops.erasing", "ops.landed_records"} <= transient
    assert forgotten == transient


def test_every_role_may_ask_whether_the_layers_are_there() -> None:
    text = (HERE / "snowflake/50_grants.sql").read_text()
    asking = {
        line.rstrip(";").split()[-1] for line in text.splitlines() if "select on table recommender.ops.layers" in line
    }

    # the transformer reads all of ops
    assert asking == {"recommender_loader", "recommender_exporter", "recommender_reader"}
