"""What a SQL text may not hold, because a Snowflake account and the embedded engine would take it differently.

Each rule looks at one parsed statement and names what it refuses. They hold the list of
docs/decisions/warehouse.md (193): nothing of it shows on the embedded engine, which is all that the other tests have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

WORDS = (
    "account all alter and any as between by case cast check column connect connection constraint create cross "
    "current current_date current_time current_timestamp current_user database delete distinct drop else "
    "exists false following for from full grant group gscluster having ilike in increment inner insert "
    "intersect into is issue join lateral left like localtime localtimestamp minus natural not null of on or "
    "order organization qualify regexp revoke right rlike row rows sample schema select set some start table "
    "tablesample then to trigger true try_cast union unique update using values view when whenever where with "
)
RESERVED = frozenset(WORDS.split())
# Functions that sqlglot has no class for, and that both engines have.
KNOWN_FUNCTIONS = frozenset({"HASH", "TO_TIMESTAMP_NTZ"})
ELSEWHERE = ("where", "group", "having", "qualify", "order")
FLOATS = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)
MOMENTS = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)

Rule = Callable[[exp.Expression], Iterator[str]]


def reserved_names(statement: exp.Expression) -> Iterator[str]:
    """Words that Snowflake keeps for itself, as names without quotes."""
    for name in statement.find_all(exp.Identifier):
        if not name.quoted and name.name.lower() in RESERVED:
            yield f"the reserved word {name.name}"


def hidden_columns(statement: exp.Expression) -> Iterator[str]:
    """A result named like a column that it is made of, while the SELECT uses that name once more without a table."""
    for select in statement.find_all(exp.Select):
        for result in select.expressions:
            if not isinstance(result, exp.Alias) or not _is_made_of(result.this, result.alias):
                continue
            others = [other for other in select.expressions if other is not result]
            parts = [*others, *(select.args[name] for name in ELSEWHERE if select.args.get(name))]
            for column in (column for part in parts for column in part.find_all(exp.Column)):
                is_same = column.name.lower() == result.alias.lower() and not column.table
                if is_same and column.find_ancestor(exp.Select) is select:
                    yield f"{result.alias} is a result and, without a table, something else in the same SELECT"


def schema_in_column(statement: exp.Expression) -> Iterator[str]:
    """Columns named by schema and table."""
    yield from (f"{column.sql()} by its schema" for column in statement.find_all(exp.Column) if column.args.get("db"))


def json_null_as_null(statement: exp.Expression) -> Iterator[str]:
    """`is null` of a JSON path: the value null of JSON is not null. A cast to text makes it so."""
    for test in statement.find_all(exp.Is):
        if isinstance(test.this, exp.JSONExtract | exp.Bracket):
            yield f"{test.sql('snowflake')} without a cast"


def zone_lost(statement: exp.Expression) -> Iterator[str]:
    """A JSON text cast to a moment without a zone: the zone that it names is dropped, not converted."""
    for cast in statement.find_all(exp.Cast):
        if cast.to.this in MOMENTS and isinstance(cast.this, exp.JSONExtract | exp.Bracket):
            yield f"{cast.sql('snowflake')} drops the zone"


def length_in_cast(statement: exp.Expression) -> Iterator[str]:
    """A cast to text of a length: Snowflake refuses what is longer, the embedded engine takes it."""
    for cast in statement.find_all(exp.Cast):
        if cast.to.this == exp.DataType.Type.VARCHAR and cast.to.expressions:
            yield f"{cast.sql('snowflake')} fails on longer text"


def six_digits(statement: exp.Expression) -> Iterator[str]:
    """A division of whole numbers that is not rounded at once: Snowflake keeps six digits, the embedded engine all."""
    for division in statement.find_all(exp.Div):
        is_float = any(
            isinstance(side, exp.Cast) and side.to.this in FLOATS for side in (division.left, division.right)
        )
        if not is_float and division.find_ancestor(exp.Round) is None:
            yield f"{division.sql('snowflake')} without ::float"


def frame_unsaid(statement: exp.Expression) -> Iterator[str]:
    """A running aggregate that does not say rows or range: rows that tie are then counted together."""
    for window in statement.find_all(exp.Window):
        numbered = (exp.RowNumber, exp.Lag, exp.Lead)
        is_running = isinstance(window.this, exp.AggFunc) and not isinstance(window.this, numbered)
        if is_running and window.args.get("order") and not window.args.get("spec"):
            yield f"{window.sql('snowflake')} without its rows"


def unknown_functions(statement: exp.Expression) -> Iterator[str]:
    """Functions that neither sqlglot nor this list knows."""
    for function in statement.find_all(exp.Anonymous):
        if function.name.upper() not in KNOWN_FUNCTIONS:
            yield f"the function {function.name}"


def wrong_functions(statement: exp.Expression) -> Iterator[str]:
    """Functions that the embedded engine answers wrongly without an error."""
    for function in statement.find_all(exp.ArraySlice, exp.GetExtract):
        yield f"{function.sql('snowflake')}, which the embedded engine gets wrong"


def clock(statement: exp.Expression) -> Iterator[str]:
    """The session's clock and zone: a moment comes as a parameter, or from sysdate() in UTC."""
    for function in statement.find_all(exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime):
        if not function.args.get("sysdate"):
            yield f"{function.sql('snowflake')} depends on the session"


def null_of_several(statement: exp.Expression) -> Iterator[str]:
    """least and greatest of what may be null are null on Snowflake: all but the first argument need a coalesce."""
    for function in statement.find_all(exp.Least, exp.Greatest):
        if not all(isinstance(argument, exp.Coalesce | exp.Literal) for argument in function.expressions):
            yield f"{function.sql('snowflake')} may be null"


def correlated(statement: exp.Expression) -> Iterator[str]:
    """Subqueries that name a table outside of them: Snowflake evaluates few of these."""
    for column in statement.find_all(exp.Column):
        select = column.find_ancestor(exp.Select)
        if column.table and select is not None and column.table.lower() not in _sources(select):
            yield f"{column.sql()} from outside of its SELECT"


def branch_without_turn(statement: exp.Expression) -> Iterator[str]:
    """A branch of a MERGE behind one of its kind that takes everything: Snowflake refuses it."""
    for merge in statement.find_all(exp.Merge):
        whens = merge.args["whens"].expressions
        for place, when in enumerate(whens):
            later = [other for other in whens[place + 1 :] if other.args["matched"] == when.args["matched"]]
            if not when.args.get("condition") and later:
                yield "a branch of MERGE that comes never"


RULES: tuple[Rule, ...] = (
    reserved_names,
    hidden_columns,
    schema_in_column,
    json_null_as_null,
    zone_lost,
    length_in_cast,
    frame_unsaid,
    unknown_functions,
    wrong_functions,
    clock,
    null_of_several,
    correlated,
    branch_without_turn,
)


def _sources(select: exp.Select) -> set[str]:
    """What a SELECT reads from, by the names it gives: tables, subqueries, and what it flattens."""
    named = [select.args.get("from_"), *select.args.get("joins", []), *select.args.get("laterals", [])]
    return {
        source.alias_or_name.lower()
        for source in (part.this if isinstance(part, exp.From | exp.Join) else part for part in named if part)
    }


def _is_made_of(expression: exp.Expression, name: str) -> bool:
    """Whether a column of that name is within the expression, and more than it."""
    columns = [column for column in expression.find_all(exp.Column) if column.name.lower() == name.lower()]
    return bool(columns) and expression is not columns[0]
