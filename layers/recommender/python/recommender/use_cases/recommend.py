"""Answer a page view: what to show in each placement, for this shopper, at this moment, and why.

One read (session and shopper), the request's own events folded in, one ranking for all placements, one
joint page. Nothing is written here. Whatever is missing, an answer comes: each step of the ladder
(no state, no experiments, no canary, no models, no bundle) has a name in `degraded_reason`, and what is left of
the evidence still counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from recommender.contracts.answers import PageAnswer, RecommendedItem
from recommender.contracts.fields import problem
from recommender.contracts.placements import Placement, registry
from recommender.contracts.requests import RecommendationRequest, RecommendCommand
from recommender.domain.bundle import Bundle
from recommender.domain.context import PageContext
from recommender.domain.eligibility import current_stock
from recommender.domain.experiments.assignment import DEFAULT_VARIANT, Assignment, assign
from recommender.domain.experiments.config import Snapshot
from recommender.domain.page import Slot, Visit, assemble
from recommender.domain.ranking import Ranked, rank
from recommender.domain.session import Session
from recommender.domain.shopper import ANONYMOUS, Shopper
from recommender.errors import DependencyDown
from recommender.ports import BundleSource, CanarySource, CatalogOverrides, SnapshotSource, StateReader
from recommender.use_cases.page_bundle import BUNDLE_UNAVAILABLE, CANARY_UNAVAILABLE, page_bundle
from recommender.use_cases.placement_answers import AskedPlacements, Served, display, signed

STATE_UNAVAILABLE: Final = "state_unavailable"  # prior and this request's events only
EXPERIMENTS_UNAVAILABLE: Final = "experiments_unavailable"  # the incumbent serves and nothing is counted
STOCK_UNAVAILABLE: Final = "stock_unavailable"  # stock and prices as of the bundle
MODELS_UNAVAILABLE: Final = "models_unavailable"  # precomputed lists
DEGRADATIONS: Final = (
    STATE_UNAVAILABLE,
    EXPERIMENTS_UNAVAILABLE,
    CANARY_UNAVAILABLE,
    STOCK_UNAVAILABLE,
    MODELS_UNAVAILABLE,
    BUNDLE_UNAVAILABLE,
)

Ranking = Callable[[Bundle, Shopper, Session, PageContext], Ranked]


def recommend(
    command: RecommendCommand,
    *,
    now: datetime,
    state: StateReader | None,
    bundles: BundleSource,
    snapshots: SnapshotSource | None,
    overrides: CatalogOverrides,
    secret: bytes,
    new_id: Callable[[], str],
    canaries: CanarySource | None = None,
    placements: Mapping[str, Placement] | None = None,
    ranking: Ranking | None = rank,
    clock: Callable[[], float] = time.perf_counter,
) -> PageAnswer:
    """The lists of all placements asked for. None for state, snapshots or ranking is that step out of order.

    Raises InvalidInput `unknown_item` where the page is about an item that neither the bundle nor the
    overrides know. An unknown placement gets an error of its own while others are served; where none is
    known, NotFound is raised.
    """
    request = command.request
    asked = AskedPlacements(request, placements or registry("default"))
    trace = _Trace(clock)
    visitor = _visitor(request, state, now, trace)
    trace.lap("state")
    snapshot = _snapshot(request, snapshots, trace)
    assigned = _arms(request, asked.slots, snapshot)
    page = page_bundle(assigned, snapshot, bundles=bundles, canaries=canaries)
    trace.degradations.extend(page.degradations)
    slots = [
        Slot(placement, arm.variant, limit) for (placement, limit), arm in zip(asked.slots, page.arms, strict=True)
    ]
    recommendation_id = new_id()
    filled = _fill(request, visitor, slots, page.bundle, overrides, ranking, now, trace)
    served = Served(filled.level, trace.milliseconds, bool(trace.degradations))
    answers = [
        signed(recommendation_id, request, slot, arm, items, served=served, now=now, secret=secret)
        for slot, arm, items in zip(slots, page.arms, filled.lists, strict=True)
    ]
    trace.lap("assemble")
    return PageAnswer(
        recommendation_id=recommendation_id,
        model_version=filled.model_version,
        personalization_level=filled.level,
        evidence=filled.evidence,
        degraded=bool(trace.degradations),
        degraded_reason=",".join(trace.degradations) or None,
        placements=asked.in_order(answers),
        timing_ms=trace.laps,
        rejected_events=command.rejected,
    )


@dataclass(slots=True)
class _Trace:
    """How long each stage took, and what was missing."""

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

    lists: list[tuple[RecommendedItem, ...]]
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
    request: RecommendationRequest, slots: Sequence[tuple[Placement, int]], snapshot: Snapshot | None
) -> list[Assignment]:
    """The variant of each placement; without consent to anything, no experiment."""
    if request.context.consent == "none":
        return [Assignment("", 0, 0, DEFAULT_VARIANT, 1.0)] * len(slots)
    return [assign(snapshot, request.visitor_id, placement.placement_id) for placement, _ in slots]


def _fill(
    request: RecommendationRequest,
    visitor: tuple[Session, Shopper],
    slots: Sequence[Slot],
    bundle: Bundle | None,
    overrides: CatalogOverrides,
    ranking: Ranking | None,
    now: datetime,
    trace: _Trace,
) -> _Filled:
    if bundle is None:
        return _Filled([()] * len(slots))
    changes = _overrides(overrides, trace)
    _refuse_unknown_item(request.page.item_id, bundle, changes)
    session, shopper = visitor
    visit = Visit(shopper, session, _context(request, session, now))
    ranked = _rank(bundle, visit, ranking, trace)
    trace.lap("rank")
    stock = current_stock(bundle, changes)
    lists = assemble(bundle, ranked, visit, slots, stock=stock)
    explain = request.options.explain == "reasons"
    return _Filled(
        lists=[display(bundle, stock, items, explain=explain) for items in lists],
        model_version=bundle.bundle_id,
        level="prior" if ranked is None else ranked.level,
        evidence=0.0 if ranked is None else ranked.evidence,
    )


def _overrides(overrides: CatalogOverrides, trace: _Trace) -> Mapping[str, Mapping[str, Any]]:
    try:
        return overrides.current()
    except DependencyDown:
        trace.degradations.append(STOCK_UNAVAILABLE)
        return {}


def _refuse_unknown_item(item_id: str | None, bundle: Bundle, changes: Mapping[str, Any]) -> None:
    """An item newer than the bundle is known by its override."""
    if item_id is not None and item_id not in changes and bundle.rows_of((item_id,))[0] < 0:
        raise problem("/page/item_id", item_id, "an item of the catalogue", "unknown_item")


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
