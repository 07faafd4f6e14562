"""Answers of the browser routes: the types from which OpenAPI is made, and their JSON.

Field names are the names in the JSON. `to_json` is written out by hand: it runs for 96 items a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recommender.contracts.requests import Caveat, Rejection


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for an item: a code of domain/serving/reasons.py, with the item or the attribute it rests on."""

    code: str
    seed_item_id: str | None = None
    attribute: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the JSON object, without fields that are None."""
        body = {"code": self.code}
        if self.seed_item_id is not None:
            body["seed_item_id"] = self.seed_item_id
        if self.attribute is not None:
            body["attribute"] = self.attribute
        return body


@dataclass(frozen=True, slots=True)
class RecommendedItem:
    """One item of a list. `index` counts from 0, `score` orders the items of one list only."""

    item_id: str
    index: int
    score: float
    title: str
    category: str
    price: float
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the item."""
        return {
            "item_id": self.item_id,
            "index": self.index,
            "score": round(self.score, 6),
            "title": self.title,
            "category": self.category,
            "price": self.price,
            "reasons": [reason.to_json() for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class ExperimentArm:
    """The experiment and the variant that made a list; `id` is null where no experiment runs on the placement."""

    id: str | None
    variant: str


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """The error of one placement of the request, while the others got their lists."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class PlacementAnswer:
    """The list of one placement, or its error. Send `attribution_token` back with events on this list.

    A list without a true name is hidden: it has no items and no token, and `hidden_reason` is the code of the cause.
    """

    placement: str
    item_list_id: str | None = None
    item_list_name: str | None = None
    experiment: ExperimentArm | None = None
    attribution_token: str | None = None
    items: tuple[RecommendedItem, ...] = ()
    hidden_reason: str | None = None
    error: PlacementProblem | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the list or of the error."""
        if self.error is not None:
            return {"placement": self.placement, "error": {"code": self.error.code, "detail": self.error.detail}}
        arm = self.experiment
        body: dict[str, Any] = {
            "placement": self.placement,
            "item_list_id": self.item_list_id,
            "item_list_name": self.item_list_name,
            "experiment": None if arm is None else {"id": arm.id, "variant": arm.variant},
            "attribution_token": self.attribution_token,
            "items": [item.to_json() for item in self.items],
        }
        if self.hidden_reason is not None:
            body["hidden_reason"] = self.hidden_reason
        return body


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """POST /v1/recommendations. `evidence` measures the knowledge about this shopper; the level names its kind."""

    recommendation_id: str
    model_version: str | None
    personalization_level: str = field(metadata={"enum": ["prior", "session", "user"]})
    evidence: float
    degraded: bool
    degraded_reason: str | None
    placements: tuple[PlacementAnswer, ...]
    timing_ms: Mapping[str, float]
    rejected_events: tuple[Rejection, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the whole answer."""
        body: dict[str, Any] = {
            "recommendation_id": self.recommendation_id,
            "model_version": self.model_version,
            "personalization_level": self.personalization_level,
            "evidence": round(self.evidence, 4),
            "degraded": self.degraded,
            "degraded_reason": self.degraded_reason,
            "placements": [placement.to_json() for placement in self.placements],
            "timing_ms": dict(self.timing_ms),
        }
        if self.rejected_events:
            body["rejected_events"] = [rejection_json(wrong) for wrong in self.rejected_events]
        return body


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    """POST /v1/events: `accepted + duplicates + len(rejected)` is the number of events sent.

    `warnings` list the parts of accepted events that do not count.
    """

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...] = ()
    warnings: tuple[Caveat, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        body: dict[str, Any] = {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": [rejection_json(wrong) for wrong in self.rejected],
        }
        if self.warnings:
            body["warnings"] = [rejection_json(caveat) for caveat in self.warnings]
        return body


def rejection_json(wrong: Rejection | Caveat) -> dict[str, Any]:
    """The JSON object of an event that was refused, or of what does not count of one."""
    return {
        "index": wrong.index,
        "code": wrong.code,
        "pointer": wrong.pointer,
        "value": wrong.value,
        "expected": wrong.expected,
    }
