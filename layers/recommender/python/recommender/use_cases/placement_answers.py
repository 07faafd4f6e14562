"""From filled slots to the answer of each placement: what the shop shows, and the token that attributes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from recommender.contracts.answers import ExperimentArm, PlacementAnswer, PlacementProblem, Reason, RecommendedItem
from recommender.contracts.api import did_you_mean
from recommender.contracts.placements import Placement
from recommender.contracts.requests import RecommendationRequest
from recommender.domain.experiments.running.assignment import Assignment
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.attribution import Claims, issue
from recommender.domain.serving.eligibility import Stock
from recommender.domain.serving.page import FilledList, Slot
from recommender.domain.serving.reasons import FALLBACK
from recommender.domain.serving.standby import StandbyList
from recommender.errors import NotFound


def known_placement(name: str, placements: Mapping[str, Placement]) -> Placement:
    """The placement of this name; raises NotFound `unknown_placement` with the nearest name."""
    if name not in placements:
        raise NotFound(did_you_mean(name, placements), code="unknown_placement")
    return placements[name]


class RequestedPlacements:
    """The placements of the request: those to fill, and those that get an error, in the order asked for."""

    def __init__(self, request: RecommendationRequest, known: Mapping[str, Placement]) -> None:
        """Look up what was asked for; `slots` are the placements to fill with the number of their items.

        Raises NotFound `unknown_placement` where not one of them is known.
        """
        self.slots: list[tuple[Placement, int]] = []
        self._problems: dict[int, PlacementAnswer] = {}
        taken: set[str] = set()
        for n, requested in enumerate(request.placements):
            name = requested.placement
            if name not in known:
                self._problems[n] = _problem(name, "unknown_placement", did_you_mean(name, known))
            elif name in taken:
                self._problems[n] = _problem(name, "duplicate_placement", f"'{name}' is asked for twice, expected once")
            else:
                taken.add(name)
                self.slots.append((known[name], requested.limit or known[name].size))
        self._count = len(request.placements)
        if not self.slots:
            name = request.placements[0].placement
            raise NotFound(f"/placements/0/placement is {did_you_mean(name, known)}", code="unknown_placement")

    def in_order(self, answers: Sequence[PlacementAnswer]) -> tuple[PlacementAnswer, ...]:
        """The answers of the filled placements with the errors of the others between them."""
        served = iter(answers)
        return tuple(self._problems[n] if n in self._problems else next(served) for n in range(self._count))


@dataclass(frozen=True, slots=True)
class ShownList:
    """A list as a shop shows it."""

    items: tuple[RecommendedItem, ...]
    name: str
    hidden_reason: str | None = None


def display(bundle: Bundle, stock: Stock, filled: FilledList, *, explain: bool) -> ShownList:
    """The list with what a shop shows of its items, at the prices of now."""
    described = [bundle.catalogue.describe(item.row) for item in filled.items]
    items = tuple(
        RecommendedItem(
            item_id=facts["item_id"],
            index=index,
            score=item.score,
            title=facts["title"],
            category=facts["category"],
            price=int(stock.price_cents[item.row]) / 100,
            reasons=item.reasons if explain else (),
        )
        for index, (item, facts) in enumerate(zip(filled.items, described, strict=True))
    )
    return ShownList(items, filled.name, filled.hidden_reason)


def display_standby(standby: StandbyList, *, explain: bool) -> ShownList:
    """A standby list as a shop shows it, scored by place."""
    why = (Reason(FALLBACK),) if explain else ()
    count = len(standby.items)
    items = tuple(
        RecommendedItem(item.item_id, n, 1.0 - n / count, item.title, item.category, item.price_cents / 100, why)
        for n, item in enumerate(standby.items)
    )
    return ShownList(items, standby.name, standby.hidden_reason)


@dataclass(frozen=True, slots=True)
class Served:
    """Serving facts of a page; they travel in its tokens, so that counters can compare variants by them."""

    level: str  # personalization level
    milliseconds: int
    degraded: bool


def signed(
    recommendation_id: str,
    request: RecommendationRequest,
    slot: Slot,
    arm: Assignment,
    shown: ShownList,
    *,
    served: Served,
    now: datetime,
    secret: bytes,
) -> PlacementAnswer:
    """The answer of one placement.

    Without consent to anything there is no token, so nothing can be counted; a hidden list has nothing to count.
    """
    is_counted = request.context.consent != "none" and shown.hidden_reason is None
    claims = _claims(recommendation_id, request, slot, arm, shown.items, served, now)
    return PlacementAnswer(
        placement=slot.placement.placement_id,
        item_list_id=slot.placement.placement_id,
        item_list_name=shown.name,
        experiment=ExperimentArm(arm.experiment_id or None, arm.variant),
        attribution_token=issue(claims, secret) if is_counted else None,
        items=shown.items,
        hidden_reason=shown.hidden_reason,
    )


def _claims(
    recommendation_id: str,
    request: RecommendationRequest,
    slot: Slot,
    arm: Assignment,
    items: Sequence[RecommendedItem],
    served: Served,
    now: datetime,
) -> Claims:
    return Claims(
        recommendation_id=recommendation_id,
        placement=slot.placement.placement_id,
        experiment=arm.experiment_id,
        config_version=arm.config_version,
        epoch=arm.epoch,
        variant=arm.variant,
        propensity=arm.propensity,
        item_ids=tuple(item.item_id for item in items),
        issued_at=int(now.timestamp()),
        session_id=request.session_id,
        is_holdout=arm.is_holdout,
        segment=served.level,
        served_ms=served.milliseconds,
        degraded=served.degraded,
    )


def _problem(name: str, code: str, detail: str) -> PlacementAnswer:
    return PlacementAnswer(name, error=PlacementProblem(code, detail))
