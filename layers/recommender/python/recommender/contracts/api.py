"""Parsers of the browser routes: from a body or a query to a checked request.

A field the contract does not know is refused, so that a typo is not ignored in silence. Events are the
exception (GA4 payloads carry many extra keys), and they are judged one by one: the valid rest is kept.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from recommender.contracts.events import MAX_EVENTS_PER_CALL, Event, none_after, parse_event, skew_of
from recommender.contracts.fields import (
    problem,
    read_integer,
    read_list,
    read_object,
    read_optional_text,
    read_text,
    read_time,
    refuse_unknown,
)
from recommender.contracts.placements import PAGE_TYPES
from recommender.contracts.requests import (
    CONSENTS,
    EXPLANATIONS,
    MAX_BODY_BYTES,
    MAX_CART_ITEMS,
    MAX_LIMIT,
    MAX_PLACEMENTS,
    AssignmentRequest,
    EventBatch,
    Options,
    Page,
    PlacementRequest,
    RecommendationRequest,
    RecommendCommand,
    Rejection,
    RequestContext,
)
from recommender.errors import FieldProblem, InvalidInput, TooLarge

MAX_DIGITS: Final = 300  # of an integer; Python refuses to read some thousands


def read_json(body: str | bytes | None) -> Any:
    """The JSON of a request body; raises InvalidInput `invalid_json` or TooLarge."""
    content = (body or "").encode("utf-8", "surrogatepass") if not isinstance(body, bytes) else body
    if len(content) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {len(content)} bytes, at most {MAX_BODY_BYTES} are read", code="body_too_large")
    try:
        return json.loads(body or "", parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise problem("/", str(error), "a JSON document", "invalid_json") from error


def _integer(digits: str) -> int | float:
    """An integer; one that no field takes becomes infinite, so that it is refused where it stands."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def parse_recommendations(raw: object, *, now: datetime, consent: str = "full") -> RecommendCommand:
    """Parse the body of POST /v1/recommendations; `consent` is the default where the body has none."""
    body = read_object(raw, "")
    refuse_unknown(body, _names(RecommendationRequest), "")
    visitor_id = read_text(body.get("visitor_id"), "/visitor_id")
    session_id = read_text(body.get("session_id"), "/session_id")
    user_id = read_optional_text(body.get("user_id"), "/user_id")
    sent_at = _sent_at(body)
    ids = {"visitor_id": visitor_id, "session_id": session_id, "user_id": user_id}
    batch = _events(body.get("events") or (), now=now, sent_at=sent_at, ids=ids)
    request = RecommendationRequest(
        visitor_id=visitor_id,
        session_id=session_id,
        user_id=user_id,
        page_view_id=read_optional_text(body.get("page_view_id"), "/page_view_id"),
        page=_page(body.get("page"), "/page"),
        placements=_placements(body.get("placements"), "/placements"),
        context=_request_context(body.get("context") or {}, "/context", consent=consent),
        events=tuple(event for _, event in batch.events),
        sent_at=sent_at,
        options=_options(body.get("options") or {}, "/options"),
    )
    return RecommendCommand(request, batch.rejected)


def parse_single(
    placement: str, page_type: str, query: Mapping[str, str], *, consent: str = "full"
) -> RecommendCommand:
    """GET of one placement: the request that its query parameters describe, on the placement's own page."""
    refuse_unknown(query, _QUERY, "/query")
    visitor_id = read_text(query.get("visitor_id"), "/query/visitor_id")
    limit = query.get("limit")
    if limit is not None and not (limit.isdecimal() and len(limit) <= MAX_DIGITS):
        raise problem("/query/limit", limit, f"an integer from 1 to {MAX_LIMIT}")
    request = RecommendationRequest(
        visitor_id=visitor_id,
        session_id=read_text(query.get("session_id", visitor_id), "/query/session_id"),
        user_id=read_optional_text(query.get("user_id"), "/query/user_id"),
        page=Page(
            type=page_type,
            item_id=read_optional_text(query.get("item_id"), "/query/item_id"),
            category=read_optional_text(query.get("category"), "/query/category", at_most=256),
            search_term=read_optional_text(query.get("search_term"), "/query/search_term", at_most=256),
        ),
        placements=(
            PlacementRequest(
                placement, None if limit is None else read_integer(int(limit), "/query/limit", low=1, high=MAX_LIMIT)
            ),
        ),
        context=_request_context(
            {"consent": query["consent"]} if "consent" in query else {}, "/query", consent=consent
        ),
    )
    return RecommendCommand(request)


def parse_events(raw: object, *, now: datetime) -> EventBatch:
    """The body of POST /v1/events; raises InvalidInput only where no event at all can be read."""
    body = read_object(raw, "")
    ids = {name: body.get(name) for name in ("visitor_id", "session_id", "user_id")}
    batch = _events(body.get("events"), now=now, sent_at=_sent_at(body), ids=ids)
    if batch.rejected and not batch.events:
        raise InvalidInput(
            [FieldProblem(wrong.pointer, wrong.value, wrong.expected, wrong.code) for wrong in batch.rejected]
        )
    return batch


def parse_assignments(raw: object) -> AssignmentRequest:
    """The body of POST /v1/assignments."""
    body = read_object(raw, "")
    refuse_unknown(body, _names(AssignmentRequest), "")
    placements = read_list(body.get("placements") or (), "/placements", at_most=MAX_PLACEMENTS)
    return AssignmentRequest(
        visitor_id=read_text(body.get("visitor_id"), "/visitor_id"),
        user_id=read_optional_text(body.get("user_id"), "/user_id"),
        placements=tuple(read_text(name, f"/placements/{n}") for n, name in enumerate(placements)),
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'x' is not known - did you mean 'y'? The nearest known name where there is one, else all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"'{name[:80]}' — did you mean '{near[0]}'?" if near else f"'{name[:80]}' is not one of {', '.join(names)}"


_QUERY: Final = frozenset(
    {"visitor_id", "session_id", "user_id", "item_id", "category", "search_term", "limit", "consent"}
)


def _names(kind: Any) -> frozenset[str]:
    return frozenset(entry.name for entry in fields(kind))


def _sent_at(body: Mapping[str, Any]) -> datetime | None:
    return None if body.get("sent_at") is None else read_time(body["sent_at"], "/sent_at")


def _events(raw: object, *, now: datetime, sent_at: datetime | None, ids: Mapping[str, Any]) -> EventBatch:
    if isinstance(raw, list | tuple) and len(raw) > MAX_EVENTS_PER_CALL:
        raise TooLarge(f"/events has {len(raw)} events, expected at most {MAX_EVENTS_PER_CALL}", code="too_many_events")
    entries: Sequence[Any] = read_list(raw, "/events", at_most=MAX_EVENTS_PER_CALL)
    events: dict[int, Event] = {}
    rejected: list[Rejection] = []
    skew = skew_of(sent_at, now)
    for index, entry in enumerate(entries):
        try:
            events[index] = parse_event(entry, now=now, pointer=f"/events/{index}", skew=skew, **ids)
        except InvalidInput as error:
            rejected += [rejection(index, wrong) for wrong in error.problems]
    mended = none_after(now, list(events.values()))
    return EventBatch(tuple(zip(events, mended, strict=True)), tuple(rejected))


def rejection(index: int, wrong: FieldProblem) -> Rejection:
    """The refusal of the event at `index`."""
    return Rejection(index, wrong.code, wrong.pointer, wrong.value, wrong.expected)


def _page(raw: object, pointer: str) -> Page:
    body = read_object(raw, pointer)
    refuse_unknown(body, _names(Page), pointer)
    return Page(
        type=_one_of(body.get("type"), f"{pointer}/type", PAGE_TYPES),
        item_id=read_optional_text(body.get("item_id"), f"{pointer}/item_id"),
        category=read_optional_text(body.get("category"), f"{pointer}/category", at_most=256),
        search_term=read_optional_text(body.get("search_term"), f"{pointer}/search_term", at_most=256),
    )


def _request_context(raw: object, pointer: str, *, consent: str) -> RequestContext:
    body = read_object(raw, pointer)
    refuse_unknown(body, _names(RequestContext), pointer)
    cart = read_list(body.get("cart_item_ids") or (), f"{pointer}/cart_item_ids", at_most=MAX_CART_ITEMS)
    return RequestContext(
        cart_item_ids=tuple(read_text(item, f"{pointer}/cart_item_ids/{n}") for n, item in enumerate(cart)),
        device=read_optional_text(body.get("device"), f"{pointer}/device"),
        consent=_one_of(body.get("consent", consent), f"{pointer}/consent", CONSENTS),
    )


def _placements(raw: object, pointer: str) -> tuple[PlacementRequest, ...]:
    entries = read_list(raw, pointer, at_most=MAX_PLACEMENTS)
    if not entries:
        raise problem(pointer, entries, f"1 to {MAX_PLACEMENTS} placements")
    return tuple(_placement(entry, f"{pointer}/{n}") for n, entry in enumerate(entries))


def _placement(raw: object, pointer: str) -> PlacementRequest:
    body = read_object(raw, pointer)
    refuse_unknown(body, _names(PlacementRequest), pointer)
    limit = body.get("limit")
    return PlacementRequest(
        placement=read_text(body.get("placement"), f"{pointer}/placement"),
        limit=None if limit is None else read_integer(limit, f"{pointer}/limit", low=1, high=MAX_LIMIT),
    )


def _options(raw: object, pointer: str) -> Options:
    body = read_object(raw, pointer)
    refuse_unknown(body, _names(Options), pointer)
    return Options(_one_of(body.get("explain", "reasons"), f"{pointer}/explain", EXPLANATIONS))


def _one_of(value: object, pointer: str, allowed: tuple[str, ...]) -> str:
    text = read_text(value, pointer)
    if text not in allowed:
        raise problem(pointer, text, "one of " + ", ".join(allowed))
    return text
