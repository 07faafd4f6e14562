"""Counts behind the prior: purchases faded by age, per item and per context.

Categories and hours are counted on purchases; pages and queries on recorded events: the page is the kind of event
(a view happens on a product page, an addition shows on the cart page), a query counts the items that the visit
turns to after searching. No export records the device, so no `device:` context is counted yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl
from recommender.domain.arrays import Doubles, Floats
from recommender.domain.prior import ContextCounts, Prior, build_prior, decay, log_trend, normal_query

from training_jobs.exports import Exports
from training_jobs.session_ranker.catalogue import PART
from training_jobs.session_ranker.lines import Lines, count_by, days_of, days_since_epoch, with_rows

HALF_LIFE_DAYS = 30.0
TREND_HALF_LIFE_DAYS = 7.0
LONG_RUN_HALF_LIFE_DAYS = 90.0
SMOOTHING = 0.1
STRENGTHS: Mapping[str, float] = {"category": 50.0, "hour": 200_000.0, "page": 200_000.0, "query": 20.0}  # kappa
ITEMS_PER_CONTEXT = 2000
QUERY_MIN_COUNT = 3.0
AFTER_SEARCH = 3  # items of the visit that a search is credited with
PAGE_OF_EVENT: Mapping[str, str] = {"view_item": "product", "add_to_cart": "cart", "purchase": "order"}


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
