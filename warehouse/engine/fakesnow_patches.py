"""Patches of fakesnow, for Snowflake's behaviour and for speed: MERGE and FLATTEN by DuckDB, no enforced keys.

fakesnow 0.12 takes a MERGE apart into a table in another database, a full outer join over the whole target and
one statement a branch: slow, not atomic, and refused inside a transaction; DuckDB has MERGE by now. Snowflake
does not enforce primary keys, so DuckDB need not keep an index over every row of a history. And a statement is
translated by some seventy walks over its tree, a second of CPU for the steps of a day: a day's statements
differ from the day before only in the moments of their window, so they are translated once. FLATTEN numbers the
elements of an array by a window without an order: dear, and of a large table in any order.

Decisions: docs/decisions/warehouse.md (193).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp

MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:\.\d+)?)?")
PLACE = re.compile(r"moment (\d+)")
MOST_TRANSLATIONS = 256
TRANSLATIONS: dict[tuple[str | None, str | None, str], Any] = {}  # of this process, (database, schema, text) to tree
# fakesnow's macro, but for the index, which goes with its element: DuckDB then unnests without a window and a join.
FLATTEN = Template(
    """
create or replace macro ${catalog}._fs_flatten(input) as table
    select
        hash(to_json(input))::ubigint as seq,
        element.k as key,
        coalesce(element.k, '[' || element.i || ']') as path,
        element.i as index,
        element.v as value,
        to_json(input) as this
    from (
        select unnest(
            case when json_type(to_json(input)) = 'OBJECT'
                then list_transform(
                    json_keys(to_json(input)),
                    lambda name: struct_pack(k := name, i := null::bigint, v := cast(to_json(input) -> name as json))
                )
                else list_transform(
                    cast(to_json(input) as json[]),
                    lambda value, place: struct_pack(k := null::varchar, i := (place - 1)::bigint, v := value)
                )
            end, recursive := true
        )
    ) as element(k, i, v)
    """
)


@contextmanager
def as_snowflake() -> Iterator[None]:
    """Whoever serves fakesnow from a process of its own calls this around it; `open_local` does."""
    from fakesnow import macros, transforms
    from fakesnow.cursor import FakeSnowflakeCursor

    merge, translate, flatten = transforms.merge, FakeSnowflakeCursor._transform, macros.FS_FLATTEN
    transforms.merge, macros.FS_FLATTEN = _whole, FLATTEN
    FakeSnowflakeCursor._transform = _remembering(translate)
    try:
        yield
    finally:
        transforms.merge, FakeSnowflakeCursor._transform, macros.FS_FLATTEN = merge, translate, flatten


def _whole(expression: exp.Expression) -> list[exp.Expression]:
    """The statement as it is, but for keys that Snowflake would not enforce either, and for what only it keeps."""
    from sqlglot import exp

    if isinstance(expression, exp.Create):
        for part in list(expression.find_all(exp.PrimaryKey, exp.TransientProperty)):
            part.pop()
    return [expression]


def _remembering(translate: Callable[..., exp.Expression]) -> Callable[..., exp.Expression]:
    """`translate` for writes, once a text: moments are taken out before and put back afterwards."""
    from sqlglot import exp

    def remembered(cursor: Any, expression: exp.Expression, params: Any) -> exp.Expression:
        if params is not None or not isinstance(expression, exp.Merge | exp.Insert | exp.Delete):
            return translate(cursor, expression, params)
        moments = _take_out(expression)
        key = (cursor._conn.database, cursor._conn.schema, expression.sql(dialect="snowflake"))
        if key not in TRANSLATIONS:
            if len(TRANSLATIONS) >= MOST_TRANSLATIONS:
                TRANSLATIONS.clear()
            TRANSLATIONS[key] = translate(cursor, expression, params)
        return _put_back(TRANSLATIONS[key].copy(), moments)

    return remembered


def _take_out(expression: exp.Expression) -> list[str]:
    from sqlglot import exp

    moments: list[str] = []
    for literal in expression.find_all(exp.Literal):
        if literal.is_string and MOMENT.fullmatch(literal.this):
            if literal.this not in moments:
                moments.append(literal.this)
            literal.set("this", f"moment {moments.index(literal.this)}")
    return moments


def _put_back(expression: exp.Expression, moments: list[str]) -> exp.Expression:
    from sqlglot import exp

    for literal in expression.find_all(exp.Literal):
        if literal.is_string and (place := PLACE.fullmatch(literal.this)):
            literal.set("this", moments[int(place[1])])
    return expression
