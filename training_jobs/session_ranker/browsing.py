"""Requests in the middle of recorded visits, labelled with the later clicks, additions to the cart and purchases.

Only recorded events count, because a rule made the derived ones from orders. Each visit gives one request, after a
number of its events drawn at random (none at all included).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.contracts.event_kinds import ADDED, BOUGHT, EVENT_KINDS, REMOVED, VIEWED
from recommender.domain.models.arrays import Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.posterior import STRENGTHS
from recommender.domain.serving.visit import UNKNOWN_COHORT
from recommender.domain.serving.visitor import Seen

from training_jobs.counting.lines import Histories, days_of, with_rows
from training_jobs.exports import Exports
from training_jobs.session_ranker.data import Case, Group, owned_of, score_rows


def _kinds_that(*effects: str) -> tuple[str, ...]:
    """Name the events that do one of these to their items."""
    return tuple(name for name, kind in EVENT_KINDS.items() if set(effects) & set(kind.effects))


SEEN = _kinds_that(VIEWED)  # as Session.viewed
ADDITIONS, REMOVALS, PURCHASES = _kinds_that(ADDED), _kinds_that(REMOVED, BOUGHT), _kinds_that(BOUGHT)
CLICKS = tuple(name for name in SEEN if name not in (*ADDITIONS, *PURCHASES))
LONGEST = 50  # events of a visit that are looked at, the first ones


@dataclass(frozen=True, slots=True)
class Browsed:
    """One request within a visit and its outcome; the case's targets are the purchases."""

    case: Case
    clicked: Rows
    carted: Rows


def browsed_cases(
    exports: Exports,
    histories: Histories,
    cohorts: Mapping[str, int],
    rng: np.random.Generator,
    *,
    start: datetime,
    end: datetime,
    most: int,
) -> Iterator[Browsed]:
    """At most `most` recorded visits that began in [start, end), with two events or more."""
    events = _recorded(exports, start, end)
    visits = events.partition_by("session_id", maintain_order=True) if events.height else []
    long = [visit for visit in visits if visit.height > 1]
    for number in np.sort(rng.permutation(len(long))[:most]):
        visit = long[number].head(LONGEST)
        yield _browsed(visit, int(rng.integers(0, visit.height)), histories, cohorts)


def browsed_group(bundle: Bundle, browsed: Browsed, *, limit: int) -> Group:
    """The labelled candidates of a request."""
    case = browsed.case
    rows, features = score_rows(bundle, case, limit=limit)
    return Group(
        features,
        np.isin(rows, case.targets),
        case.owned.places(rows)[1],
        np.isin(rows, browsed.clicked),
        np.isin(rows, browsed.carted),
    )


def browsed_groups(
    bundle: Bundle,
    exports: Exports,
    histories: Histories,
    cohorts: Mapping[str, int],
    rng: np.random.Generator,
    *,
    window: tuple[datetime, datetime],
    most: int,
    limit: int,
) -> list[Group]:
    """The groups of a window in which anything was clicked, put in the cart or bought."""
    cases = browsed_cases(exports, histories, cohorts, rng, start=window[0], end=window[1], most=most)
    groups = (browsed_group(bundle, browsed, limit=limit) for browsed in cases)
    return [
        group for group in groups if any(np.any(hits) for hits in (group.is_bought, group.is_clicked, group.is_carted))
    ]


def _recorded(exports: Exports, start: datetime, end: datetime) -> pl.DataFrame:
    """(session_id, shopper_id, event_name, row, days) in order of sessions and time."""
    active = exports.session_events.filter(
        pl.col("event_name").is_in(list(STRENGTHS))
        & pl.col("item_id").is_not_null()
        & ~pl.col("derived").fill_null(value=False)
    )
    began = pl.col("event_time").min().over("session_id")
    inside = active.filter((began >= start) & (began < end))
    return (
        with_rows(inside, exports)
        .select("session_id", "shopper_id", "event_name", "row", days_of("event_time"))
        .sort("session_id", "days", maintain_order=True)
    )


def _browsed(visit: pl.DataFrame, shown: int, histories: Histories, cohorts: Mapping[str, int]) -> Browsed:
    """The request after the first `shown` events."""
    names, rows = visit["event_name"].to_numpy(), visit["row"].to_numpy().astype(np.int32)
    shopper_id = visit["shopper_id"][0] or ""
    seen = _seen(names[:shown], rows[:shown])

    def afterwards(*kinds: str) -> Rows:
        found: Rows = np.unique(rows[shown:][np.isin(names[shown:], kinds)])
        return found

    case = Case(
        shopper_id,
        owned_of(histories, shopper_id),
        seen,
        cohorts.get(shopper_id, UNKNOWN_COHORT),
        float(visit["days"][shown]),
        afterwards(*PURCHASES),
    )
    return Browsed(case, afterwards(*CLICKS), afterwards(*ADDITIONS))


def _seen(names: NDArray[np.str_], rows: Rows) -> Seen:
    """The visit so far as serving would hold it: the anchors are the cart."""
    strengths = [STRENGTHS[name] for name in names]
    cart: list[int] = []
    for name, row in zip(names, rows.tolist(), strict=True):
        if name in ADDITIONS and row not in cart:
            cart.append(row)
        elif name in REMOVALS and row in cart:
            cart.remove(row)
    return Seen(
        rows,
        np.array([strength.weight for strength in strengths], np.float32),
        np.array([strength.observation for strength in strengths], np.float32),
        rows[np.isin(names, SEEN)],
        np.array(cart, np.int32),
    )
