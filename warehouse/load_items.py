"""The items of an event as the contract has them: JSON text, from columns, from JSON text or from nested Parquet.

All items of a piece are judged at once, as one flat table; then every event gets its own back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from recommender.contracts.events import MAX_ITEMS_PER_EVENT

from warehouse.load_ids import whole
from warehouse.load_values import json_text, number_of, text_of

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
