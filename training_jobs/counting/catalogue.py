"""Static facts of the items: the item table, the display lines, and items bought together.

`catalogue.jsonl` has one line an item in row order; with its offsets serving reads one line without the rest. Items
bought together have a damped cosine over orders, in which a chance meeting of two rare items counts little:
score(i, j) = c_ij / sqrt((n_i + damping)(n_j + damping)), c_ij orders with both, n_i orders with i.
Letters: I items, K partners of an item.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.domain.models.arrays import Counts, Doubles, Floats, Ids, Rows
from recommender.domain.models.bundle import ItemTable, Neighbours
from recommender.errors import ArtifactRefused

from training_jobs.counting.lines import Lines, count_by, distinct

SHOWN = ("item_id", "title", "description", "category", "brand", "price_cents")
NOT_SOLD = ("out_of_stock", "discontinued")
NO_CATEGORY = "Other"
PART = " > "
REPEAT_EVIDENCE = 5.0  # purchases that an item's category is worth in its repeat share
CATEGORY_EVIDENCE = 20.0  # purchases that the whole shop is worth in a category's
PARTNERS = 50
DAMPING = 20.0
BLOCK = 1024  # items at a time: bounds the memory of the product
SCORE_BITS, ROW_BITS = 30, 24


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
    """Static facts of items in row order and counts of their purchases. `content_rows` (I,) must fit the catalogue."""
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
    """(I,) the number of shoppers who bought each item."""
    pairs = distinct(lines.shopper.astype(np.int64) * count_items + lines.item)
    return count_by(pairs % count_items, None, count_items)


def _repeat_share(lines: Lines, category: Rows, count_categories: int) -> Floats:
    """(I,) share of repeat purchases; shrunk to the category, and that to the shop."""
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


def build_neighbours(
    items: NDArray[np.integer],
    groups: NDArray[np.integer],
    *,
    count_items: int,
    partners: int = PARTNERS,
) -> Neighbours:
    """The best partners (I, K) of each item over groups, such as orders or sessions.

    `items` (N,) are rows and `groups` (N,) the number of the group of each.
    """
    if count_items > 1 << ROW_BITS:
        raise ArtifactRefused(f"the catalogue has {count_items} items, expected at most {1 << ROW_BITS}")
    count_groups = int(groups.max()) + 1 if len(groups) else 1
    shape = (count_groups, count_items)
    together = sp.csr_matrix((np.ones(len(items), np.float32), (groups, items)), shape=shape)
    together.data[:] = 1.0  # an item twice in a group is once in it
    by_item = together.T.tocsr()  # (I, groups)
    damped = np.sqrt(np.diff(by_item.indptr) + DAMPING).astype(np.float32)  # (I,)
    rows = np.full((count_items, partners), -1, np.int32)
    scores = np.zeros((count_items, partners), np.float32)
    for start in range(0, count_items, BLOCK):
        block = (by_item[start : start + BLOCK] @ together).tocsr()  # (BLOCK, I)
        _fill_best(block, start, damped, rows, scores)
    return Neighbours(rows, scores)


def _fill_best(
    block: sp.csr_matrix,
    start: int,
    damped: NDArray[np.float32],
    rows: NDArray[np.int32],
    scores: NDArray[np.float32],
) -> None:
    """Write the best partners of the block's items; ties go to the lower row.

    One sort of one integer a pair, because a sort by three columns takes ten times as long:
    10 bits of the item in the block, 30 bits of the score (a float in [0, 1], whose bits order as it does; smaller
    is better), 24 bits of the partner.
    """
    of_item = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    other = block.indices
    cosine = (block.data / (damped[start + of_item] * damped[other])).astype(np.float32)
    is_other = other != start + of_item
    of_item, other, cosine = of_item[is_other], other[is_other], cosine[is_other]
    badness = (1 << SCORE_BITS) - 1 - cosine.view(np.uint32).astype(np.uint64)
    keys = (of_item.astype(np.uint64) << np.uint64(SCORE_BITS + ROW_BITS)) | (badness << np.uint64(ROW_BITS))
    keys = np.sort(keys | other.astype(np.uint64))
    of_item = (keys >> np.uint64(SCORE_BITS + ROW_BITS)).astype(np.int64)
    rank = np.arange(len(keys)) - np.searchsorted(of_item, np.arange(block.shape[0]))[of_item]
    best = rank < rows.shape[1]
    keys, of_item, rank = keys[best], of_item[best], rank[best]
    badness = (keys >> np.uint64(ROW_BITS)) & np.uint64((1 << SCORE_BITS) - 1)
    rows[start + of_item, rank] = (keys & np.uint64((1 << ROW_BITS) - 1)).astype(np.int32)
    scores[start + of_item, rank] = ((1 << SCORE_BITS) - 1 - badness).astype(np.uint32).view(np.float32)
