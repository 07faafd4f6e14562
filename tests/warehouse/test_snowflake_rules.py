"""Every SQL text, those that the code puts together included, is one that a Snowflake account takes the same way.

The files are walked as they are; what Python writes is caught on its way to the embedded engine while a small shop is
loaded, run for two days, erased from, exported and diagnosed. sqlfluff parses what sqlglot only carries along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from recommender.contracts.exports import ALL, EXPORTS
from snowflake.connector.converter import SnowflakeConverter
from sqlfluff.core import FluffConfig, Linter
from sqlglot import exp

from tests.warehouse import snowflake_rules as rules
from tests.warehouse.shop import Shop, at
from tests.warehouse.snowflake_rules import RULES
from tests.warehouse.story import deliver_day
from warehouse.connect import Warehouse
from warehouse.day.checks import CHECKS
from warehouse.day.day import STEPS, run_day
from warehouse.day.doctor import diagnose
from warehouse.day.erasures import erase_now, request_erasure
from warehouse.engine.statements import HERE, statements
from warehouse.export.parts import Cut
from warehouse.export.unload import copy_statement, unload
from warehouse.raw.landed_events import load_stage

FILES = sorted(path.relative_to(HERE).as_posix() for path in HERE.rglob("*.sql"))
SHARED = [path for path in FILES if not path.startswith("snowflake/")]
COMPUTED = [path for path in SHARED if path.startswith(("ddl/", "staging/", "marts/", "exports/"))]
IN_A_TRANSACTION = [*STEPS, *(path for path in FILES if path.startswith("erasing/"))]
WRITES = (exp.Insert, exp.Merge, exp.Delete, exp.Update)
MERGE = re.compile(r"^\s*merge into .*?\busing (\(.*\)) as source\s+on (.*?)\s+when ", re.DOTALL | re.MULTILINE)
NOW = at("2026-01-04T09:00:00")
# What each rule is there for: a text that it refuses, and one that says the same and that it lets pass.
REFUSED = [
    (rules.reserved_names, "select start from a", 'select "START" from a'),
    (rules.hidden_columns, "select min(a) as a from b where a > 1", "select min(b.a) as a from b where b.a > 1"),
    (rules.schema_in_column, "delete from a.b where a.b.c = 1", "delete from a.b where c = 1"),
    (rules.json_null_as_null, "select a:b is null from c", "select a:b::varchar is null from c"),
    (
        rules.zone_lost,
        "select a:b::timestamp_ntz from c",
        "select convert_timezone('UTC', a:b::timestamp_tz)::timestamp_ntz from c",
    ),
    (rules.length_in_cast, "select a::varchar(3) from b", "select left(a, 3) from b"),
    (rules.six_digits, "select a / b from c", "select round(a / b), a::float / b from c"),
    (
        rules.frame_unsaid,
        "select sum(a) over (order by b) from c",
        "select sum(a) over (order by b rows between unbounded preceding and current row) from c",
    ),
    (rules.unknown_functions, "select soundx(a) from b", "select soundex(a) from b"),
    (rules.wrong_functions, "select get(a, 'b') from c", "select a['b'] from c"),
    (rules.clock, "select current_timestamp()", "select sysdate()"),
    (rules.null_of_several, "select least(a, b) from c", "select least(a, coalesce(b, a)) from c"),
    (
        rules.correlated,
        "select a from b where exists (select 1 from c where c.a = b.a)",
        "select a from b where a in (select a from c)",
    ),
    (
        rules.branch_without_turn,
        "merge into a using b on a.c = b.c when matched then delete when matched and b.d then update set d = 1",
        "merge into a using b on a.c = b.c when matched and b.d then update set d = 1 when matched then delete",
    ),
]


class Recorder:
    """A connection that keeps the texts as the real connector would send them, and looks at each MERGE's source."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.texts: dict[str, str] = {}  # by the text without its values
        self.repeated: list[str] = []

    def cursor(self) -> Any:
        recorder, cursor = self, self.connection.cursor()

        class Cursor:
            def __getattr__(self, name: str) -> Any:
                return getattr(cursor, name)

            def execute(self, command: str, params: Mapping[str, Any] | None = None) -> Any:
                recorder.keep(command, params)
                return cursor.execute(command, params)

        return Cursor()

    def keep(self, command: str, params: Mapping[str, Any] | None) -> None:
        converter = SnowflakeConverter()
        bound = {
            name: converter.quote(converter.escape(converter.to_snowflake(value)))
            for name, value in (params or {}).items()
        }
        text = command % bound if bound else command
        self.texts.setdefault(command, text)
        if merge := MERGE.search(text):
            source, condition = merge.groups()
            key = ", ".join(dict.fromkeys(re.findall(r"\bsource\.\w+", condition)))
            query = f"select {key} from {source} as source group by {key} having count(*) > 1"
            if self.connection.cursor().execute(query).fetchall():
                self.repeated.append(" ".join(text.split()[:4]))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Recorder:
    from warehouse.connect import open_local

    folder = tmp_path_factory.mktemp("recorded")
    (folder / "database").mkdir()
    (folder / "database" / empty_database.name).write_bytes(empty_database.read_bytes())
    with open_local(folder / "database") as opened:
        recorder = Recorder(opened.connection)
        warehouse = Warehouse(recorder, opened.unloader)
        shop = Shop(warehouse, folder / "landing")
        for day in (2, 3):
            deliver_day(shop, day)
            run_day(recorder, date(2026, 1, day))
        recorder.cursor().execute("create stage if not exists raw.landing")
        landed = next((folder / "landing").rglob("*.jsonl"))
        recorder.cursor().execute(f"put 'file://{landed}' @raw.landing/events/ auto_compress = false")
        load_stage(recorder, "@raw.landing/events/", loaded_at=NOW)
        request_erasure(recorder, ["ben"], now=NOW)
        erase_now(recorder, now=NOW)
        diagnose(recorder, date(2026, 1, 3))
        unload(recorder, opened.unloader, folder / "exports", source="shop", now=NOW)
    return recorder


def parsed(path: str) -> list[exp.Expression]:
    """The statements of a file, with texts in place of its parameters."""
    texts = [re.sub(r"%\((\w+)\)s", r"'\1'", text) for text in statements(path)]
    return [one for text in texts for one in sqlglot.parse(text, dialect="snowflake") if one is not None]


def refusals(statement: exp.Expression) -> list[str]:
    return [reason for rule in RULES for reason in rule(statement)]


@pytest.mark.parametrize(("rule", "wrong", "right"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_refuses_what_it_is_there_for(rule: rules.Rule, wrong: str, right: str) -> None:
    assert list(rule(sqlglot.parse_one(wrong, dialect="snowflake")))
    assert not list(rule(sqlglot.parse_one(right, dialect="snowflake")))


def test_every_rule_is_shown() -> None:
    assert {rule for rule, *_ in REFUSED} == {*RULES, rules.six_digits}


@pytest.mark.parametrize("path", SHARED)
def test_a_file_means_the_same_on_both_engines(path: str) -> None:
    found = [reason for statement in parsed(path) for reason in refusals(statement)]
    if path in COMPUTED:
        found += [reason for statement in parsed(path) for reason in rules.six_digits(statement)]

    assert found == []


@pytest.mark.parametrize("path", IN_A_TRANSACTION)
def test_no_step_has_a_statement_that_commits(path: str) -> None:
    assert [one.sql() for one in parsed(path) if not isinstance(one, WRITES)] == []


def test_what_python_sends_means_the_same_on_both_engines(recorded: Recorder) -> None:
    found = {}
    for text in [*recorded.texts.values(), *(check.examples for check in CHECKS if check.examples)]:
        if text.split()[0].lower() not in ("put", "copy", "describe", "begin", "commit", "remove"):
            for statement in sqlglot.parse(re.sub(r"%\((\w+)\)s", r"'\1'", text), dialect="snowflake"):
                assert statement is not None
                if reasons := refusals(statement):
                    found[" ".join(text.split()[:12])] = reasons

    assert len(recorded.texts) > 100
    assert found == {}


def test_no_source_of_a_merge_has_a_key_twice(recorded: Recorder) -> None:
    """Snowflake fails such an update (ERROR_ON_NONDETERMINISTIC_MERGE) and inserts both; DuckDB takes one of them."""
    assert sum(bool(MERGE.search(text)) for text in recorded.texts.values()) > 15
    assert recorded.repeated == []


def test_a_percent_sign_is_only_there_for_a_parameter(recorded: Recorder) -> None:
    """The connector fills parameters in with Python's %, where a text has any."""
    texts = [*recorded.texts, *(text for path in SHARED for text in statements(path))]

    assert [text for text in texts if "%(" in text and re.search(r"%(?!\(\w+\)s)", text)] == []


@pytest.mark.parametrize("path", FILES)
def test_snowflakes_grammar_has_every_statement(path: str) -> None:
    linter = Linter(config=FluffConfig(overrides={"dialect": "snowflake", "templater": "raw"}))
    text = re.sub(r"%\((\w+)\)s", r"'\1'", (HERE / path).read_text())

    assert [problem.desc() for problem in linter.parse_string(text).violations] == []


def test_snowflakes_grammar_has_what_python_sends(recorded: Recorder) -> None:
    """But for the files' own texts, which are read above, and a few long ones of the shapes of others."""
    linter = Linter(config=FluffConfig(overrides={"dialect": "snowflake", "templater": "raw"}))
    of_files = {text for path in FILES for text in statements(path)}
    texts = [text for command, text in recorded.texts.items() if command not in of_files and len(text) < 2000]

    texts += [copy_statement(Cut(name, ALL, EXPORTS[name], 1, ""), "exports") for name in EXPORTS]

    assert any(text.startswith("copy into raw.") for text in texts)
    assert {text: problems for text in texts if (problems := linter.parse_string(text).violations)} == {}


@pytest.mark.parametrize(
    "text",
    [
        "create resource monitr if not exists a with credit_quota = 1",
        "create pipe a.b auto_ingst = true as copy into x from @y",
        "alter table a.b modify column c set maskin policy p",
        "create storage integration i type = external_stage storage_provder = 's3'",
    ],
)
def test_the_grammar_refuses_what_is_misspelt(text: str) -> None:
    """sqlglot carries these along as text."""
    linter = Linter(config=FluffConfig(overrides={"dialect": "snowflake", "templater": "raw"}))

    assert linter.parse_string(text).violations
