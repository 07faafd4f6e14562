"""Counts of purchases in context: the prior of items, the fallback lists, and the lifts between categories.

Categories and hours are counted on purchases, pages and queries on recorded events; a query counts the items that the
visit opens after the search. No export records the device, so there is no `device:` context. A fallback list needs no
shopper, session or model: the lists of a page share no item, hold items in stock, and at most two of a category in each
round. Letters: I items, N lines, Q categories, K of them that sell most, O orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.contracts.event_kinds import EVENT_KINDS
from recommender.contracts.placements import DEFAULT, Placement
from recommender.domain.models.arrays import Doubles, Floats, Ids, Rows
from recommender.domain.models.bundle import ItemTable
from recommender.domain.models.discovery import Complements
from recommender.domain.models.prior import ContextCounts, Prior, build_prior, decay, log_trend, normal_query

from training_jobs.counting.catalogue import PART
from training_jobs.counting.lines import Lines, count_by, days_of, days_since_epoch, with_rows
from training_jobs.exports import Exports

HALF_LIFE_DAYS = 30.0
TREND_HALF_LIFE_DAYS = 7.0
LONG_RUN_HALF_LIFE_DAYS = 90.0
SMOOTHING = 0.1
STRENGTHS: Mapping[str, float] = {"category": 50.0, "hour": 200_000.0, "page": 200_000.0, "query": 20.0}  # kappa
ITEMS_PER_CONTEXT = 2000
QUERY_MIN_COUNT = 3.0
AFTER_SEARCH = 3  # items of the visit that a search is credited with
PAGE_OF_EVENT: Mapping[str, str] = {name: kind.page for name, kind in EVENT_KINDS.items() if kind.page}
DEPTH = 4  # of a fallback list, in sizes of its placement
LOOKED_AT = 3000  # best items from which a fallback list is chosen
PER_CATEGORY = 2  # items of a category in each round of `size` places
MOST_CATEGORIES = 2000  # 8 MB of 16-bit lifts
EVIDENCE = 5.0  # orders that hold a lift at 0


def build_item_prior(exports: Exports, items: pl.DataFrame, lines: Lines, *, until: datetime) -> Prior:
    """The prior as of `until`; `items` in row order."""
    now = days_since_epoch(until)
    faded = decay(now - lines.days, half_life_days=HALF_LIFE_DAYS)  # (N,)
    counts = count_by(lines.item, faded, items.height)
    contexts = (
        _category_contexts(items, counts)
        | _hour_contexts(lines, faded)
        | _event_contexts(exports, until=until, now=now)
    )
    return build_prior(counts, trend=_trend(lines, now, items.height), contexts=contexts, smoothing=SMOOTHING)


def _trend(lines: Lines, now: float, count_items: int) -> Floats:
    """(I,) log of the rate of the last weeks over the rate of the last months."""
    age = now - lines.days
    observed_days = float(age.max()) if len(lines) else 0.0

    def faded(half_life: float) -> tuple[Doubles, float]:
        counts = count_by(lines.item, decay(age, half_life_days=half_life), count_items)
        return counts, half_life / np.log(2.0) * (1.0 - 0.5 ** (observed_days / half_life))

    recent, recent_exposure = faded(TREND_HALF_LIFE_DAYS)
    long_run, long_run_exposure = faded(LONG_RUN_HALF_LIFE_DAYS)
    return log_trend(recent, long_run, recent_exposure=recent_exposure, long_run_exposure=long_run_exposure)


def _category_contexts(items: pl.DataFrame, counts: Doubles) -> dict[str, ContextCounts]:
    """Every category and each of its ancestors."""
    parts = items.select(pl.col("category").str.split(PART), pl.lit(counts).alias("count")).with_row_index("row")
    deepest = int(parts["category"].list.len().max() or 0)
    frames = [
        parts.filter(pl.col("category").list.len() >= depth).select(
            pl.col("category").list.head(depth).list.join(PART).alias("name"), "row", "count"
        )
        for depth in range(1, deepest + 1)
    ]
    return _contexts(frames, "category")


def _hour_contexts(lines: Lines, faded: Doubles) -> dict[str, ContextCounts]:
    hours = np.floor(lines.days % 1.0 * 24.0 + 1e-6).astype(np.int32)
    frame = pl.DataFrame({"hour": hours, "row": lines.item, "count": faded})
    return _contexts(
        [frame.select(pl.format("{}", pl.col("hour").cast(pl.String).str.zfill(2)).alias("name"), "row", "count")],
        "hour",
    )


def _event_contexts(exports: Exports, *, until: datetime, now: float) -> dict[str, ContextCounts]:
    events = exports.session_events.filter(pl.col("event_time") < until)
    return _page_contexts(exports, events, now) | _query_contexts(exports, events, now)


def _page_contexts(exports: Exports, events: pl.DataFrame, now: float) -> dict[str, ContextCounts]:
    shown = events.filter(pl.col("event_name").is_in(list(PAGE_OF_EVENT)) & pl.col("item_id").is_not_null())
    named = with_rows(shown, exports).select(
        pl.col("event_name").replace_strict(PAGE_OF_EVENT, return_dtype=pl.String).alias("name"), "row", _faded(now)
    )
    return _contexts([named], "page")


def _query_contexts(exports: Exports, events: pl.DataFrame, now: float) -> dict[str, ContextCounts]:
    searched = (
        events.sort("session_id", "event_time", maintain_order=True)
        .with_columns(query=pl.col("search_term").forward_fill().over("session_id"))
        .with_columns(search=pl.col("search_term").is_not_null().cum_sum().over("session_id"))
        .filter(pl.col("query").is_not_null() & pl.col("item_id").is_not_null())
        .filter(pl.int_range(pl.len()).over("session_id", "search") < AFTER_SEARCH)
    )
    terms = searched["query"].unique()
    normal = pl.DataFrame(
        {"query": terms, "name": [normal_query(term) for term in terms]}, schema_overrides={"name": pl.String}
    )
    named = with_rows(searched, exports).join(normal, on="query").select("name", "row", _faded(now))
    frequent = pl.col("count").sum().over("name") >= QUERY_MIN_COUNT
    return _contexts([named.filter(frequent)], "query")


def _faded(now: float) -> pl.Expr:
    return (0.5 ** ((now - days_of("event_time")) / HALF_LIFE_DAYS)).alias("count")


def _contexts(frames: list[pl.DataFrame], kind: str) -> dict[str, ContextCounts]:
    """Contexts of frames (name, row, count): the counts of a row summed, the best rows of each kept."""
    columns = [pl.col("name"), pl.col("row").cast(pl.Int32), pl.col("count").cast(pl.Float32)]
    counted = (
        pl.concat([frame.select(columns) for frame in frames])
        .group_by("name", "row")
        .agg(pl.col("count").sum())
        .filter(pl.col("count") > 0)
        .sort("name", "count", "row", descending=[False, True, False])
        .group_by("name", maintain_order=True)
        .head(ITEMS_PER_CONTEXT)
    )
    return {
        f"{kind}:{group['name'][0]}": ContextCounts(group["row"].to_numpy(), group["count"].to_numpy(), STRENGTHS[kind])
        for group in counted.partition_by("name", maintain_order=True)
    }


def fallback_lists(prior: Prior, items: ItemTable, item_ids: Ids) -> dict[str, list[str]]:
    """Placement id -> item ids, best first; `item_ids` (I,)."""
    taken: dict[str, set[int]] = {placement.page: set() for placement in DEFAULT}
    lists: dict[str, list[str]] = {}
    for placement in DEFAULT:
        ranked = _ranked(_worth(placement, prior, items), items)
        rows = _spread(ranked, items, taken[placement.page], size=placement.size)
        taken[placement.page].update(rows)
        lists[placement.placement_id] = [bytes(item_ids[row]).decode() for row in rows]
    return lists


def _worth(placement: Placement, prior: Prior, items: ItemTable) -> Doubles:
    """(I,) log of the value of showing the item there: popularity, with its trend, repeats or value."""
    worth = prior.log_share.astype(np.float64)
    if "trending" in placement.sources:
        worth = worth + placement.sources["trending"] * prior.trend
    if "own_history" in placement.sources:
        worth = worth + np.log(np.maximum(items.repeat_share, 1e-3))
    if placement.objective == "revenue":
        worth = worth + np.log(np.maximum(items.price_cents, 1))
    if placement.objective == "margin":
        worth = worth + np.log(np.maximum(items.price_cents * np.maximum(items.margin_share, 0.0), 1.0))
    return worth


def _ranked(worth: Doubles, items: ItemTable) -> NDArray[np.int64]:
    """The best items in stock; all items where nothing is."""
    eligible = np.flatnonzero(items.in_stock)
    eligible = eligible if len(eligible) else np.arange(len(worth))
    best = eligible[np.lexsort((eligible, -worth[eligible]))]
    return best[:LOOKED_AT]


def _spread(ranked: NDArray[np.int64], items: ItemTable, taken: set[int], *, size: int) -> list[int]:
    """DEPTH rounds of `size` items; each round takes at most PER_CATEGORY of a category while others are left."""
    left = [int(row) for row in ranked if int(row) not in taken]
    chosen: list[int] = []
    for _ in range(DEPTH):
        in_round: dict[int, int] = {}
        picked: list[int] = []
        for row in left:
            category = int(items.category[row])
            if len(picked) < size and in_round.get(category, 0) < PER_CATEGORY:
                picked.append(row)
                in_round[category] = in_round.get(category, 0) + 1
        chosen += picked
        gone = set(picked)
        left = [row for row in left if row not in gone]
    return chosen + left[: DEPTH * size - len(chosen)]


def build_complements(lines: Lines, category: Rows, *, count_categories: int) -> Complements:
    """Lifts (K, K) between the categories that sell most; `category` (I,) is the code of each item."""
    of_line = category[lines.item]
    sold = count_by(of_line, None, count_categories)
    kept = np.argsort(-sold, kind="stable")[: min(MOST_CATEGORIES, int((sold > 0).sum()))]
    place = np.full(count_categories, -1, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    is_kept = place[of_line] >= 0
    cells = (lines.order[is_kept], place[of_line[is_kept]])
    shape = (max(lines.count_orders, 1), len(kept))
    counts = sp.csr_matrix((np.ones(int(is_kept.sum()), np.float32), cells), shape=shape)  # (O, K) items
    counts.sum_duplicates()
    twice = np.asarray((counts > 1).sum(axis=0), np.float64).ravel()
    counts.data[:] = 1.0
    together = np.asarray((counts.T @ counts).todense(), np.float64)  # (K, K)
    orders = together.diagonal().copy()
    np.fill_diagonal(together, twice)
    expected = np.outer(orders, orders) / max(lines.count_orders, 1)
    return Complements(place, np.log((together + EVIDENCE) / (expected + EVIDENCE)).astype(np.float16))
