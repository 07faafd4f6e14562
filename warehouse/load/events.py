"""The items of an event as the contract has them: JSON text, from columns, from JSON text or from nested Parquet.

All items of a piece are judged at once, as one flat table; then every event gets its own back.

The GA4 export in BigQuery as flat events: event_params as key and value records, items as records.

Of one event_name GA4 exports what the tag sent, so the names are ours already but for view_search_results.
What is no matter of a shop (page_view, scroll, session_start, …) is counted as ignored. GA4 gives a hit no id: it is
made of its time, its place in the batch it was sent in and all that is kept of it, so that the same hit in another
export file is the same event. Every value is text first, so JSON lines and Parquet give the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.event_kinds import EVENT_KINDS, EVENT_NAMES
from recommender.contracts.events import MAX_ITEMS_PER_EVENT

from warehouse.load.identities import whole
from warehouse.load.values import json_text, number_of, text_of

if TYPE_CHECKING:
    import polars as pl


FIELDS: Final = ("item_id", "quantity", "price_cents", "index", "price")
MOST_UNITS: Final = 10_000
MOST_CENTS: Final = 10**12


def read_items(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The items of every event as JSON text (`[]` for none), and where they are no list of items."""
    import polars as pl

    lists, broken = _lists(column)
    counts = lists.list.len().fill_null(0)
    broken |= counts > MAX_ITEMS_PER_EVENT
    lists = lists.set(broken, None)
    flat = lists.filter(lists.list.len() > 0).explode().struct.unnest()
    if flat.is_empty():
        return pl.Series(["[]"], dtype=pl.String).new_from_index(0, len(column)), broken
    owner = pl.int_range(len(lists), eager=True, dtype=pl.UInt32).repeat_by(lists.list.len().fill_null(0)).explode()
    made, wrong = _judged(flat)
    owner = owner.drop_nulls()
    broken = broken.scatter(owner.filter(wrong).unique(), True) if wrong.any() else broken
    texts = _joined(made.to_struct("item").struct.json_encode(), lists.list.len().fill_null(0))
    return texts, broken


def one_item(fields: dict[str, pl.Series]) -> pl.Series:
    """The item of every event that names at most one in columns of its own, as JSON text."""
    import polars as pl

    item = pl.DataFrame(fields)
    text = item.to_struct("item").struct.json_encode()
    return ("[" + text + "]").set(item["item_id"].is_null(), "[]")


def _judged(flat: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Items with the fields of the contract, and where one cannot be read."""
    import polars as pl

    given = {name: flat[name] for name in FIELDS}
    quantity = number_of(given["quantity"])
    units = quantity.fill_null(1.0)
    cents = number_of(given["price_cents"])
    cents = cents.zip_with(given["price_cents"].is_not_null(), (number_of(given["price"]) * 100).round())
    index = number_of(given["index"])
    item_id = whole(text_of(given["item_id"]))
    unread = [
        given[name].is_not_null() & read.is_null()
        for name, read in (("quantity", quantity), ("index", index), ("price_cents", cents))
    ]
    has_price = given["price"].is_not_null() & cents.is_null()
    wrong = item_id.is_null() | (item_id.str.len_chars() > 128) | unread[0] | unread[1] | unread[2] | has_price
    wrong |= (units != units.floor()) | ~units.is_between(1, MOST_UNITS)
    wrong |= ~cents.is_between(0, MOST_CENTS).fill_null(value=True) | (index != index.floor()).fill_null(value=False)
    made = pl.DataFrame(
        {
            "item_id": item_id,
            "quantity": units.cast(pl.Int64, strict=False),
            "price_cents": cents.round().cast(pl.Int64, strict=False),
            "index": index.cast(pl.Int64, strict=False),
        }
    )
    return made, wrong.fill_null(value=True)


def _lists(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Every value as a list of items with all FIELDS, and where it is none."""
    import polars as pl

    nothing = pl.Series([False]).new_from_index(0, len(column))
    kind = column.dtype
    if isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct):
        have = {field.name for field in kind.inner.fields}
        fields = [
            (pl.element().struct.field(name) if name in have else pl.lit(None, pl.String)).alias(name)
            for name in FIELDS
        ]
        return column.list.eval(pl.struct(fields)), nothing
    text = text_of(column)
    shape = pl.List(pl.Struct(dict.fromkeys(FIELDS, pl.String)))
    try:
        return text.str.json_decode(shape), nothing
    except pl.exceptions.PolarsError:
        lists = pl.Series([_one_by_one(value) for value in text.to_list()], dtype=shape)
        return lists, text.is_not_null() & lists.is_null()


def _one_by_one(text: str | None) -> list[dict[str, Any]] | None:
    try:
        items = json.loads(text) if text is not None else None
        return [{name: json_text(item.get(name)) for name in FIELDS} for item in items] if items is not None else None
    except (ValueError, TypeError, AttributeError):
        return None


def _joined(texts: pl.Series, counts: pl.Series) -> pl.Series:
    """The texts of items back into one list an event."""
    import polars as pl
    import pyarrow as pa

    ends = counts.cast(pl.Int64).cum_sum()
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64), ends]).to_arrow()
    lists = pl.Series(pa.LargeListArray.from_arrays(offsets, texts.to_arrow()))
    return "[" + lists.list.join(",") + "]"


GA4_COLUMNS: Final = {"event_name", "event_timestamp", "event_params"}
RENAMED: Final = {ga4: name for name, kind in EVENT_KINDS.items() for ga4 in kind.ga4}
UNSET: Final = ("", "(not set)", "(not provided)")  # what GA4 writes for nothing
PARAMETERS: Final = (
    "ga_session_id",
    "item_list_id",
    "search_term",
    "transaction_id",
    "attribution_token",
    "visible",
)
PLACE: Final = ("event_bundle_sequence_id", "batch_page_id", "batch_ordering_id", "batch_event_index")
VALUES: Final = ("string_value", "int_value", "double_value", "float_value")
ITEM: Final = ("item_id", "price", "quantity", "item_list_index", "item_list_id")
SCALARS: Final = ("event_name", "event_timestamp", "user_pseudo_id", "user_id", *PLACE)


# A line of an event that no shop needs, recognised before it is read: most of an export are page views.
UNWANTED: Final = re.compile(
    rb'"event_name"\s*:\s*"(?!(?:' + "|".join([*EVENT_NAMES, *RENAMED]).encode() + rb')")[^"\\]*"'
)


def text_schema() -> dict[str, pl.DataType]:
    """The columns that are read, every value as text."""
    import polars as pl

    value = pl.Struct(dict.fromkeys(VALUES, pl.String))
    return {
        **dict.fromkeys(SCALARS, pl.String()),
        "event_params": pl.List(pl.Struct({"key": pl.String, "value": value})),
        "items": pl.List(pl.Struct(dict.fromkeys(ITEM, pl.String))),
        "ecommerce": pl.Struct({"transaction_id": pl.String}),
    }


def as_text_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """The typed columns of a Parquet file as text, also where lists are kept as {list: [{element: …}]}."""
    import polars as pl

    frame = frame.with_columns(_unwrapped(frame[name]) for name in ("event_params", "items") if name in frame.columns)
    wanted = pl.element().struct.field("key").is_in(PARAMETERS)
    frame = frame.with_columns(pl.col("event_params").list.eval(pl.element().filter(wanted)))
    columns = []
    for name, kind in text_schema().items():
        if name not in frame.columns:
            columns.append(pl.Series(name, [None], dtype=kind).new_from_index(0, frame.height))
        elif name in SCALARS:
            columns.append(text_of(frame[name]).alias(name))
        else:  # by way of JSON: numbers become the text that they are in JSON lines, fields are found by name
            texts = frame.select(pl.struct(name).struct.json_encode()).to_series()
            columns.append(texts.str.json_decode(pl.Struct({name: kind})).struct.field(name))
    return pl.DataFrame(columns)


def shaped(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the columns that are read, as text. Raises TypeError, AttributeError or KeyError."""
    return {
        **{name: json_text(record.get(name)) for name in SCALARS},
        "event_params": [
            {"key": entry["key"], "value": {kind: json_text((entry.get("value") or {}).get(kind)) for kind in VALUES}}
            for entry in record.get("event_params") or ()
        ],
        "items": [{name: json_text(item.get(name)) for name in ITEM} for item in record.get("items") or ()],
        "ecommerce": {"transaction_id": json_text((record.get("ecommerce") or {}).get("transaction_id"))},
    }


def is_wanted(names: pl.Series) -> pl.Series:
    """Select the rows that a shop has a use for, by event_name."""
    return names.is_in([*EVENT_NAMES, *RENAMED]).fill_null(value=False)


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of `text_schema` as events of ours."""
    import polars as pl

    stated = {name: _set(column) for name, column in _parameters(frame).items()}
    visitor, session = _set(frame["user_pseudo_id"]), stated["ga_session_id"]
    items, lists = _items(frame)
    order = _set(frame["ecommerce"].struct.field("transaction_id"))
    events = {
        "event_name": frame["event_name"].replace(RENAMED),
        "event_time": frame["event_timestamp"],  # microseconds since 1970, UTC
        "visitor_id": visitor,
        "session_id": visitor + "." + session,
        "user_id": _set(frame["user_id"]),
        "items": items,
        "item_list_id": _first(stated["item_list_id"], lists),
        "search_term": stated["search_term"],
        "transaction_id": _first(stated["transaction_id"], order),
        "attribution_token": stated["attribution_token"],
        "visible": stated["visible"].fill_null("false").str.to_lowercase(),
    }
    place = [frame[name] for name in PLACE]
    whole = pl.DataFrame([*place, *(column.alias(f"_{name}") for name, column in events.items())])
    texts = whole.select(pl.concat_str(pl.all().fill_null(""), separator="\x1f")).to_series().to_list()
    ids = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
    return pl.DataFrame({"event_id": pl.Series(ids, dtype=pl.String), **events})


def _parameters(frame: pl.DataFrame) -> dict[str, pl.Series]:
    """The values of PARAMETERS, one column each; of a key that is there twice the last."""
    import polars as pl

    entries = frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"), "event_params").explode("event_params")
    entries = entries.drop_nulls("event_params").select("row", pl.col("event_params").struct.unnest())
    found = {}
    for name in PARAMETERS:
        mine = entries.filter(pl.col("key") == name)
        value = mine.select(pl.coalesce(pl.col("value").struct.field(kind) for kind in VALUES)).to_series()
        empty = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
        found[name] = empty.scatter(mine["row"], value) if mine.height else empty
    return found


def _items(frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Items as records with our names, and the first list that one of them names."""
    import polars as pl

    item = pl.element().struct
    ours = pl.struct(
        pl.when(~item.field("item_id").is_in(UNSET)).then(item.field("item_id")).alias("item_id"),
        item.field("quantity"),
        item.field("price"),
        pl.when(~item.field("item_list_index").is_in(UNSET)).then(item.field("item_list_index")).alias("index"),
    )
    named = pl.element().struct.field("item_list_id")
    read = frame.select(
        pl.col("items").list.eval(ours).alias("items"),
        pl.col("items").list.eval(named.filter(named.is_not_null() & ~named.is_in(UNSET))).list.first().alias("lists"),
    )
    texts = read.select(pl.struct("items").struct.json_encode()).to_series()
    return texts.str.slice(9).str.head(-1).replace("null", None), read["lists"]  # of {"items":[…]} the list


def _set(column: pl.Series) -> pl.Series:
    return column.set(column.is_in(UNSET), None)


def _first(one: pl.Series, other: pl.Series) -> pl.Series:
    return one.zip_with(one.is_not_null(), other)


def _unwrapped(column: pl.Series) -> pl.Series:
    """BigQuery writes repeated records to Parquet in two ways; the older has names where the newer has a list."""
    import polars as pl

    if not isinstance(column.dtype, pl.Struct):
        return column
    inner = column.struct.field("list").list.eval(pl.element().struct.field("element"))
    return inner.alias(column.name)
