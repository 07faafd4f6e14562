"""Requests of the browser routes: the types from which OpenAPI is made.

The names of the fields are the names in the JSON. `metadata` holds JSON Schema keywords. How a body
becomes one of these is in contracts/api.py.

Decisions: docs/decisions/serving.md (056).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from recommender.contracts.events import MAX_EVENTS_PER_CALL, Event
from recommender.contracts.fields import ID_MAX_LENGTH
from recommender.contracts.placements import PAGE_TYPES

MAX_PLACEMENTS: Final = 12
MAX_LIMIT: Final = 48
MAX_CART_ITEMS: Final = 200
CONSENTS: Final = ("none", "contextual", "full")
EXPLANATIONS: Final = ("none", "reasons")
MAX_BODY_BYTES: Final = 512 * 1024
_ID: Final = {"minLength": 1, "maxLength": ID_MAX_LENGTH}
_SENT_AT: Final = {"description": "now, by the clock that the event times are from; a clock that is wrong is set right"}


@dataclass(frozen=True, slots=True)
class Rejection:
    """One event that was refused: its place in the batch and what is wrong with it."""

    index: int
    code: str
    pointer: str
    value: str
    expected: str


@dataclass(frozen=True, slots=True)
class Caveat:
    """One event that was accepted, though something of it does not count: its place in the batch, and what."""

    index: int
    code: str
    pointer: str
    value: str
    expected: str


@dataclass(frozen=True, slots=True)
class Page:
    """The page that is being shown."""

    type: str = field(metadata={"enum": list(PAGE_TYPES)})
    item_id: str | None = field(default=None, metadata=_ID)
    category: str | None = field(default=None, metadata={"maxLength": 256})
    search_term: str | None = field(default=None, metadata={"maxLength": 256})


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The storefront's other knowledge at this moment."""

    cart_item_ids: tuple[str, ...] = field(default=(), metadata={"maxItems": MAX_CART_ITEMS})
    device: str | None = field(default=None, metadata=_ID)
    consent: str = field(
        default="full",
        metadata={
            "enum": list(CONSENTS),
            "description": "none: no history, no experiment, no token; contextual: the page only; full: all",
        },
    )


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """One placement to fill; without a limit it has the size of the registry."""

    placement: str = field(metadata=_ID)
    limit: int | None = field(default=None, metadata={"minimum": 1, "maximum": MAX_LIMIT})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the answer."""

    explain: str = field(default="reasons", metadata={"enum": list(EXPLANATIONS)})


@dataclass(frozen=True, slots=True)
class RecommendationRequest:
    """POST /v1/recommendations. The events are newer than what was posted to /v1/events, and count at once."""

    visitor_id: str = field(metadata=_ID)
    session_id: str = field(metadata=_ID)
    page: Page
    placements: tuple[PlacementRequest, ...] = field(metadata={"minItems": 1, "maxItems": MAX_PLACEMENTS})
    user_id: str | None = field(default=None, metadata=_ID)
    page_view_id: str | None = field(default=None, metadata=_ID)
    context: RequestContext = field(default_factory=RequestContext)
    events: tuple[Event, ...] = field(default=(), metadata={"maxItems": MAX_EVENTS_PER_CALL})
    sent_at: datetime | None = field(default=None, metadata=_SENT_AT)
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class RecommendCommand:
    """A checked request and the inline events that were refused."""

    request: RecommendationRequest
    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class EventsRequest:
    """POST /v1/events. The ids of the envelope fill in where an event has none."""

    events: tuple[Event, ...] = field(metadata={"minItems": 1, "maxItems": MAX_EVENTS_PER_CALL})
    visitor_id: str | None = field(default=None, metadata=_ID)
    session_id: str | None = field(default=None, metadata=_ID)
    user_id: str | None = field(default=None, metadata=_ID)
    sent_at: datetime | None = field(default=None, metadata=_SENT_AT)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The checked events with their place in the batch, and the refused ones."""

    events: tuple[tuple[int, Event], ...]
    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class AssignmentRequest:
    """POST /v1/assignments. Without placements: all of the registry."""

    visitor_id: str = field(metadata=_ID)
    user_id: str | None = field(default=None, metadata=_ID)
    placements: tuple[str, ...] = field(default=(), metadata={"maxItems": MAX_PLACEMENTS})
