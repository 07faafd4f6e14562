"""Answer a page view: what to show in each placement, for this shopper, at this moment, and why.

One read (session and shopper), the request's own events folded in, one ranking for all placements, one
joint page. Nothing is written here. Whatever is missing, an answer comes: each step of the ladder
(no state, no experiments, no canary, no models, no bundle) has a name in `degraded_reason`, and what is left of
the evidence still counts. So has a page about an item that the bundle does not know yet; that is nobody's failure.

Decisions: docs/decisions/serving.md (052).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from recommender.contracts.answers import PageAnswer
from recommender.contracts.placements import Placement, registry
from recommender.contracts.requests import RecommendationRequest, RecommendCommand
from recommender.domain.experiments.running.assignment import DEFAULT_VARIANT, Assignment, assign
from recommender.domain.experiments.running.config import Snapshot
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.eligibility import current_stock, may_sell
from recommender.domain.serving.page import POLICY_LISTS, Slot, assemble
from recommender.domain.serving.promises import Visit
from recommender.domain.serving.ranking import Ranked, rank
from recommender.domain.serving.standby import Standby, standby_lists
from recommender.domain.serving.visit import ANONYMOUS, Session, Shopper
from recommender.errors import DependencyDown
from recommender.ports import BundleSource, CanarySource, CatalogOverrides, SnapshotSource, StandbySource, StateReader
from recommender.use_cases.page_bundle import BUNDLE_UNAVAILABLE, CANARY_UNAVAILABLE, page_bundle
from recommender.use_cases.placement_answers import (
    RequestedPlacements,
    Served,
    ShownList,
    display,
    display_standby,
    signed,
)

STATE_UNAVAILABLE: Final = "state_unavailable"  # prior and this request's events only
EXPERIMENTS_UNAVAILABLE: Final = "experiments_unavailable"  # the incumbent serves and nothing is counted
STOCK_UNAVAILABLE: Final = "stock_unavailable"  # stock and prices as of the bundle
MODELS_UNAVAILABLE: Final = "models_unavailable"  # precomputed lists
UNKNOWN_ANCHOR: Final = "unknown_anchor"  # the page's item is newer than the bundle: its category speaks for it
DEGRADATIONS: Final = (
    STATE_UNAVAILABLE,
    EXPERIMENTS_UNAVAILABLE,
    CANARY_UNAVAILABLE,
    STOCK_UNAVAILABLE,
    MODELS_UNAVAILABLE,
    BUNDLE_UNAVAILABLE,
    UNKNOWN_ANCHOR,
)
FAILURES: Final = frozenset(DEGRADATIONS) - {UNKNOWN_ANCHOR}

Changes = Mapping[str, Mapping[str, Any]]  # item id -> what the overrides say of it
Ranking = Callable[[Bundle, Shopper, Session, PageContext], Ranked]


def recommend(
    command: RecommendCommand,
    *,
    now: datetime,
    state: StateReader | None,
    bundles: BundleSource | None,
    snapshots: SnapshotSource | None,
    overrides: CatalogOverrides | None,
    secret: bytes,
    new_id: Callable[[], str],
    canaries: CanarySource | None = None,
    standby: StandbySource | None = None,
    placements: Mapping[str, Placement] | None = None,
    ranking: Ranking | None = rank,
    clock: Callable[[], float] = time.perf_counter,
) -> PageAnswer:
    """The lists of all placements asked for. None for a source or the ranking is that step out of order.

    An unknown placement gets an error of its own while others are served; where none is known, NotFound is raised.
    """
    request = command.request
    requested = RequestedPlacements(request, placements or registry("default"))
    trace = _Trace(clock)
    visitor = _visitor(request, state, now, trace)
    trace.lap("state")
    snapshot = _snapshot(request, snapshots, trace)
    assigned = _arms(request, requested.slots, snapshot, trace)
    page = page_bundle(assigned, snapshot, bundles=bundles, canaries=canaries)
    trace.degradations.extend(page.degradations)
    slots = [
        Slot(placement, arm.variant, limit) for (placement, limit), arm in zip(requested.slots, page.arms, strict=True)
    ]
    recommendation_id = new_id()
    changes = _overrides(overrides, trace)
    if page.bundle is None:
        filled = _stand_by(request, visitor[0], requested.slots, standby, changes)
    else:
        filled = _fill(request, visitor, slots, page.bundle, changes, ranking, now, trace)
    served = Served(filled.level, trace.milliseconds, not FAILURES.isdisjoint(trace.degradations))
    answers = [
        signed(recommendation_id, request, slot, arm, shown, served=served, now=now, secret=secret)
        for slot, arm, shown in zip(slots, page.arms, filled.lists, strict=True)
    ]
    trace.lap("assemble")
    return PageAnswer(
        recommendation_id=recommendation_id,
        model_version=filled.model_version,
        personalization_level=filled.level,
        evidence=filled.evidence,
        degraded=bool(trace.degradations),
        degraded_reason=",".join(trace.degradations) or None,
        placements=requested.in_order(answers),
        timing_ms=trace.laps,
        rejected_events=command.rejected,
    )


@dataclass(slots=True)
class _Trace:
    """The duration of each stage, and the degradations."""

    clock: Callable[[], float]
    laps: dict[str, float] = field(default_factory=dict)
    degradations: list[str] = field(default_factory=list)
    started: float = 0.0
    since: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.since = self.clock()

    @property
    def milliseconds(self) -> int:
        return round((self.clock() - self.started) * 1000)

    def lap(self, stage: str) -> None:
        moment = self.clock()
        self.laps[stage] = round((moment - self.since) * 1000, 2)
        self.since = moment


@dataclass(frozen=True, slots=True)
class _Filled:
    """The page as items to show, and what it was made from."""

    lists: list[ShownList]
    model_version: str | None = None
    level: str = "prior"
    evidence: float = 0.0


def _visitor(
    request: RecommendationRequest, state: StateReader | None, now: datetime, trace: _Trace
) -> tuple[Session, Shopper]:
    """The session with the request's events, and the shopper, as far as consent goes."""
    unknown = Session(request.session_id)
    if request.context.consent != "full":
        return unknown, ANONYMOUS
    shopper_ids = [shopper_id for shopper_id in (request.user_id, request.visitor_id) if shopper_id]
    session, shopper = unknown, None
    try:
        if state is None:
            raise DependencyDown("no state store")
        session, shopper = state.read(session_id=request.session_id, shopper_ids=shopper_ids, now=now)
    except DependencyDown:
        trace.degradations.append(STATE_UNAVAILABLE)
    if shopper is not None and shopper.consent != "full":
        return unknown, ANONYMOUS
    known = ANONYMOUS if shopper is None or shopper.erased else shopper
    return session.after(*request.events), known


def _snapshot(request: RecommendationRequest, snapshots: SnapshotSource | None, trace: _Trace) -> Snapshot | None:
    """The snapshot in force; without consent to anything there is no experiment to look for."""
    if request.context.consent == "none":
        return None
    snapshot = None if snapshots is None else snapshots.current()
    if snapshot is None:
        trace.degradations.append(EXPERIMENTS_UNAVAILABLE)
    return snapshot


def _arms(
    request: RecommendationRequest, slots: Sequence[tuple[Placement, int]], snapshot: Snapshot | None, trace: _Trace
) -> list[Assignment]:
    """The variant of each placement; without consent to anything, no experiment.

    A snapshot may name a policy of newer code: there the incumbent serves and nothing is counted, as without it.
    """
    if request.context.consent == "none":
        return [Assignment("", 0, 0, DEFAULT_VARIANT, 1.0)] * len(slots)
    arms = [assign(snapshot, request.visitor_id, placement.placement_id) for placement, _ in slots]
    known = [arm if arm.variant in POLICY_LISTS else assign(None, request.visitor_id, "") for arm in arms]
    if known != arms:
        trace.degradations.append(EXPERIMENTS_UNAVAILABLE)
    return known


def _fill(
    request: RecommendationRequest,
    visitor: tuple[Session, Shopper],
    slots: Sequence[Slot],
    bundle: Bundle,
    changes: Changes,
    ranking: Ranking | None,
    now: datetime,
    trace: _Trace,
) -> _Filled:
    if request.page.item_id is not None and bundle.rows_of((request.page.item_id,))[0] < 0:
        trace.degradations.append(UNKNOWN_ANCHOR)
    session, shopper = visitor
    visit = Visit(shopper, session, _context(request, session, now))
    ranked = _rank(bundle, visit, ranking, trace)
    trace.lap("rank")
    stock = current_stock(bundle, changes)
    lists = assemble(bundle, ranked, visit, slots, stock=stock)
    explain = request.options.explain == "reasons"
    return _Filled(
        lists=[display(bundle, stock, filled, explain=explain) for filled in lists],
        model_version=bundle.bundle_id,
        level="prior" if ranked is None else ranked.level,
        evidence=0.0 if ranked is None else ranked.evidence,
    )


def _stand_by(
    request: RecommendationRequest,
    session: Session,
    requested: Sequence[tuple[Placement, int]],
    standby: StandbySource | None,
    changes: Changes,
) -> _Filled:
    """The same lists for everybody, without what the page is about and what is in the cart."""
    try:
        found = Standby({}) if standby is None else standby.current()
    except DependencyDown:
        found = Standby({})
    lists = standby_lists(
        found,
        requested,
        left_out=frozenset((request.page.item_id or "", *request.context.cart_item_ids, *session.cart)),
        gone=frozenset(item_id for item_id, change in changes.items() if not may_sell(change)),
        prices={item_id: change["price_cents"] for item_id, change in changes.items() if "price_cents" in change},
    )
    explain = request.options.explain == "reasons"
    return _Filled([display_standby(one, explain=explain) for one in lists])


def _overrides(overrides: CatalogOverrides | None, trace: _Trace) -> Changes:
    try:
        if overrides is None:
            raise DependencyDown("no source of overrides")
        return overrides.current()
    except DependencyDown:
        trace.degradations.append(STOCK_UNAVAILABLE)
        return {}


def _rank(bundle: Bundle, visit: Visit, ranking: Ranking | None, trace: _Trace) -> Ranked | None:
    if ranking is None:
        trace.degradations.append(MODELS_UNAVAILABLE)
        return None
    try:
        return ranking(bundle, visit.shopper, visit.session, visit.context)
    except DependencyDown:
        trace.degradations.append(MODELS_UNAVAILABLE)
        return None


def _context(request: RecommendationRequest, session: Session, now: datetime) -> PageContext:
    return PageContext(
        page=request.page.type,
        now=now,
        item_id=request.page.item_id,
        category=request.page.category,
        search_term=request.page.search_term,
        cart_item_ids=tuple(dict.fromkeys((*request.context.cart_item_ids, *session.cart))),
        device=request.context.device,
    )
