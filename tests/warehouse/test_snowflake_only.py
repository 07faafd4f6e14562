"""SQL that only Snowflake can run: it parses, says so, and names nothing that the layers do not have.

What sqlglot can only carry as a Command is no proof of syntax, so those statements are listed by their first words.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from warehouse.statements import HERE
from warehouse.tables import RAW

FILES = sorted((HERE / "snowflake").glob("*.sql"))
ACCOUNT_COMMANDS = {
    "alter user",
    "alter warehouse",
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
    columns = {}
    for path in sorted((HERE / "ddl").glob("*.sql")):
        for statement in _parsed(path):
            if isinstance(statement, exp.Create) and (table := statement.find(exp.Table)) is not None:
                columns[f"{table.db}.{table.name}"] = {column.name for column in statement.find_all(exp.ColumnDef)}
    for line in (HERE / "snowflake/60_keeping.sql").read_text().splitlines():
        if "cluster by" in line:
            table, column = line.split()[2].removeprefix("recommender."), line.split("to_date(")[1].split(")")[0]
            assert column in columns[table]


def test_no_service_may_sign_in_with_a_password() -> None:
    text = (HERE / "snowflake/10_roles.sql").read_text()

    assert "rsa_public_key" in text
    assert "password =" not in text
