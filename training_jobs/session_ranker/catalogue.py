"""The catalogue's static facts: the item table of arrays, and the display lines read on demand.

`catalogue.jsonl` has one line an item in row order; its offsets let serving read one line without the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.domain.arrays import Counts, Doubles, Floats, Ids, Rows
from recommender.domain.bundle import ItemTable
from recommender.errors import ArtifactRefused

from training_jobs.session_ranker.lines import Lines, count_by, distinct

SHOWN = ("item_id", "title", "description", "category", "brand", "price_cents")
NOT_SOLD = ("out_of_stock", "discontinued")
NO_CATEGORY = "Other"
PART = " > "
REPEAT_EVIDENCE = 5.0  # purchases that an item's category is worth in its repeat share
CATEGORY_EVIDENCE = 20.0  # purchases that the whole shop is worth in a category's


@dataclass(frozen=True, slots=True)
class CatalogueText:
    """The bytes of catalogue.jsonl and where each line starts."""

    content: bytes
    offsets: Counts  # (I + 1,)


def in_row_order(items: pl.DataFrame) -> pl.DataFrame:
    """The items by id, gaps filled; the last one of a repeated id counts."""
    return (
        items.unique("item_id", keep="last")
        .sort("item_id")
        .with_columns(
            pl.col("title", "description", "brand").fill_null(""),
            pl.col("category").replace("", None).fill_null(NO_CATEGORY),
            pl.col("price_cents").fill_null(0),
            pl.col("margin_share").fill_null(0.0),
            pl.col("availability").fill_null("in_stock"),
        )
    )


def catalogue_text(items: pl.DataFrame) -> CatalogueText:
    """The display lines of items in row order."""
    shown = items.select(SHOWN).iter_rows(named=True)
    lines = [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in shown]
    sizes = np.fromiter((len(line) for line in lines), np.int64, len(lines))
    return CatalogueText(b"".join(lines), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def item_table(items: pl.DataFrame, lines: Lines, content_rows: NDArray[np.integer]) -> ItemTable:
    """Static facts of items in row order, with what their purchases say. `content_rows` (I,) must fit the catalogue."""
    if len(content_rows) != items.height:
        raise ArtifactRefused(f"content_rows has {len(content_rows)} rows, the catalogue has {items.height} items")
    categories, category = _codes(items["category"])
    departments, department = _codes(items["category"].str.split(PART).list.first())
    brands, brand = _codes(items["brand"])
    repeat_share = _repeat_share(lines, category, len(categories))
    return ItemTable(
        content_row=np.asarray(content_rows, np.int32),
        category=category,
        department=department,
        brand=brand,
        categories=categories,
        departments=departments,
        brands=brands,
        price_cents=items["price_cents"].to_numpy().clip(0, 2**31 - 1).astype(np.int32),
        margin_share=items["margin_share"].to_numpy().astype(np.float32),
        in_stock=~items["availability"].is_in(NOT_SOLD).to_numpy(),
        repeat_share=repeat_share,
        popularity=np.log1p(_shoppers_of(lines, items.height)).astype(np.float32),
        interpurchase_days=_interpurchase_days(lines, items.height),
    )


def _codes(values: pl.Series) -> tuple[Ids, Rows]:
    """The distinct values, sorted, as utf-8, and the place of each value among them."""
    distinct = values.unique().sort()
    places = pl.DataFrame({"value": distinct, "place": np.arange(len(distinct), dtype=np.int32)})
    found = pl.DataFrame({"value": values}).join(places, on="value", how="left", maintain_order="left")
    names = np.array([value.encode() for value in distinct], dtype=np.bytes_)
    return names, found["place"].to_numpy().astype(np.int32)


def _shoppers_of(lines: Lines, count_items: int) -> Doubles:
    """(I,) how many shoppers bought it."""
    pairs = distinct(lines.shopper.astype(np.int64) * count_items + lines.item)
    return count_by(pairs % count_items, None, count_items)


def _repeat_share(lines: Lines, category: Rows, count_categories: int) -> Floats:
    """(I,) share of purchases by someone who had bought it before; shrunk to the category, that to the shop."""
    count_items = len(category)
    bought = count_by(lines.item, None, count_items)  # (I,)
    again = bought - _shoppers_of(lines, count_items)
    overall = again.sum() / max(bought.sum(), 1.0)
    in_category = count_by(category, bought, count_categories)
    again_in_category = count_by(category, again, count_categories)
    share = (again_in_category + CATEGORY_EVIDENCE * overall) / (in_category + CATEGORY_EVIDENCE)
    shrunk: Floats = ((again + REPEAT_EVIDENCE * share[category]) / (bought + REPEAT_EVIDENCE)).astype(np.float32)
    return shrunk


def _interpurchase_days(lines: Lines, count_items: int) -> Floats:
    """(I,) median days between purchases of the same shopper; 0 where nobody bought it twice."""
    order = np.lexsort((lines.days, lines.item, lines.shopper))
    shopper, item, days = lines.shopper[order], lines.item[order], lines.days[order]
    again = (shopper[1:] == shopper[:-1]) & (item[1:] == item[:-1])
    gaps = pl.DataFrame({"row": item[1:][again], "days": np.diff(days)[again]})
    medians = gaps.group_by("row").agg(pl.col("days").median())
    found = np.zeros(count_items, np.float32)
    found[medians["row"].to_numpy()] = medians["days"].to_numpy()
    return found
