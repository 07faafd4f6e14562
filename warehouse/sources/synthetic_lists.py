"""Recommended lists of a synthetic day, and the clicks on them, with claims as the running shop lands them.

A list stands before a view. Where it is clicked, the item that is looked at next stood in it, so that carts and orders
of clicked items follow from those of views. Placements are those of the product, drawn evenly; each quarter of a year
one experiment runs on all of them. Nobody likes one variant better than another. No token is signed: only its claims.

Decisions: docs/decisions/benchmarks.md (190).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.contracts.placements import DEFAULT, INCUMBENT, POLICIES

from warehouse.sources.synthetic_catalogue import Catalogue, item_json
from warehouse.sources.synthetic_ids import ids, uniform
from warehouse.sources.synthetic_shop import (
    CLICK_SHARE,
    DEGRADED_SHARE,
    HOLDOUT_SHARE,
    SECOND,
    VIEWS_PER_SESSION,
    Numbers,
    Shop,
)

SHARES: Final = {"cohorts": 0.2, "hybrid": 0.5, "hybrid_margin": 0.3}
PROPENSITIES: Final = tuple(SHARES[policy] for policy in POLICIES)
PLACEMENTS: Final = np.array([placement.placement_id for placement in DEFAULT])
SIZES: Final = np.array([placement.size for placement in DEFAULT])
SHOWN_BEFORE: Final = 4 * SECOND  # before the view
CLICKED_BEFORE: Final = 1 * SECOND
EXPERIMENT_DAYS: Final = 91
EPOCH_DAYS: Final = 7
CLAIMS: Final = (
    '{{"recommendation_id":"{}","placement":"{}","experiment":"{}","config_version":{},"epoch":{},"variant":"{}",'
    '"propensity":{},"item_ids":[{}],"issued_at":{},"session_id":"{}","is_holdout":{},"segment":"{}","served_ms":{},'
    '"degraded":{}}}'
)


def draw_lists(
    shop: Shop, catalogue: Catalogue, place: int, views: pl.DataFrame, sessions: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """Lists in view and clicks on them: session, at, event_name, item_list_id, items, visible, claims."""
    chosen = np.flatnonzero(rng.random(views.height) < shop.lists_per_session / VIEWS_PER_SESSION)
    before = views[chosen].join(sessions, on="session", how="left", maintain_order="left")
    placement = rng.integers(0, len(SIZES), before.height)
    is_clicked = rng.random(before.height) < CLICK_SHARE
    shown = _shown(catalogue, place, SIZES[placement], before["item"].to_numpy(), is_clicked, rng)
    lists = before.with_columns(
        pl.Series("list", np.arange(before.height)), pl.Series("item_list_id", PLACEMENTS[placement], pl.String)
    ).join(shown, on="list", how="left", maintain_order="left")
    lists = lists.with_columns(_claims(lists, placement, place, rng))
    columns = ("session", "at", "event_name", "item_list_id", "items", "visible", "claims")
    listed = lists.with_columns(
        pl.col("at") - SHOWN_BEFORE, pl.lit("view_item_list").alias("event_name"), pl.lit(True).alias("visible")
    )
    clicked = lists.filter(pl.Series(is_clicked)).with_columns(
        pl.col("at") - CLICKED_BEFORE,
        pl.lit("select_item").alias("event_name"),
        pl.lit(False).alias("visible"),
        pl.concat_str(pl.lit("["), "clicked", pl.lit("]")).alias("items"),
    )
    return pl.concat([listed.select(columns), clicked.select(columns)])


def _shown(
    catalogue: Catalogue,
    place: int,
    sizes: Numbers,
    wanted: Numbers,
    is_clicked: NDArray[np.bool_],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """A row a list: list, items and item_ids (JSON), and `clicked`, the JSON of the wanted item where it is clicked.

    Of K items, number k is drawn from the k-th part of the popularity, so that only neighbours can be equal; the second
    of them is left out. A clicked list has the wanted item in the part where it belongs.
    """
    alive = catalogue.on_sale(place)
    cumulated = np.cumsum(catalogue.weight[alive]) / catalogue.weight[alive].sum()
    of_list = np.repeat(np.arange(len(sizes)), sizes)
    size, part = sizes[of_list], np.arange(len(of_list)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found = np.searchsorted(cumulated, (part + rng.random(len(of_list))) / size, side="right")
    own = np.searchsorted(alive, wanted)
    own_part = np.minimum((cumulated[own] * sizes).astype(np.int64), sizes - 1)
    found = np.where(is_clicked[of_list] & (part == own_part[of_list]), own[of_list], found)
    item = alive[np.minimum(found, len(alive) - 1)]
    is_first = np.append(True, (of_list[1:] != of_list[:-1]) | (item[1:] != item[:-1]))[: len(item)]
    of_list, item = of_list[is_first], item[is_first]
    return (
        pl.DataFrame({"list": of_list, "item": item, "price": catalogue.prices(place)[item]})
        .with_columns(
            pl.Series("is_clicked", is_clicked[of_list] & (item == wanted[of_list])),
            pl.int_range(pl.len()).over("list").alias("index"),
        )
        .with_columns(item_json(index=pl.col("index")), pl.format('"i{}"', "item").alias("item_ids"))
        .group_by("list", maintain_order=True)
        .agg(
            pl.col("items").str.join(","),
            pl.col("item_ids").str.join(","),
            pl.col("items").filter("is_clicked").first().alias("clicked"),
        )
        .with_columns(pl.format("[{}]", "items").alias("items"))
    )


def _claims(lists: pl.DataFrame, placement: Numbers, place: int, rng: np.random.Generator) -> pl.Expr:
    """The claims of each list as `recommender.domain.attribution.to_record` has them, as JSON."""
    number = place // EXPERIMENT_DAYS
    visitor = lists["visitor"].to_numpy()
    is_holdout = uniform(visitor, 0) < HOLDOUT_SHARE
    # A visitor keeps its variant of a placement as long as the experiment runs.
    drawn = np.searchsorted(np.cumsum(PROPENSITIES[:-1]), uniform(visitor, 1 + placement + 12 * number), side="right")
    return pl.format(
        CLAIMS,
        pl.lit(ids("r", place, lists.height)),
        "item_list_id",
        pl.lit(f"quarter-{number}"),
        pl.lit(1),
        pl.lit(place // EPOCH_DAYS),
        pl.lit(pl.Series(np.where(is_holdout, INCUMBENT, np.array(POLICIES)[drawn]), dtype=pl.String)),
        pl.lit(pl.Series(np.where(is_holdout, 1.0, np.array(PROPENSITIES)[drawn]))),
        "item_ids",
        (pl.col("at") - SHOWN_BEFORE) // SECOND,
        "session_id",
        _flag(is_holdout),
        pl.when("unknown").then(pl.lit("session")).otherwise(pl.lit("user")),
        pl.lit(pl.Series(rng.integers(15, 90, lists.height))),
        _flag(rng.random(lists.height) < DEGRADED_SHARE),
    ).alias("claims")


def _flag(values: NDArray[np.bool_]) -> pl.Expr:
    return pl.lit(pl.Series(np.where(values, "true", "false"), dtype=pl.String))
