"""The one definition of an event: API body, outbox and stream record, S3 record, warehouse and training columns.

Names and shapes follow GA4 e-commerce, so that a storefront that fills a `dataLayer` sends its
payload unchanged. An impression is `view_item_list` with `visible: true`; a click is `select_item`.
Unknown extra keys are ignored (GA4 payloads carry many), known keys are checked.
The session item is the outbox: events become visible to the counters and to S3 in the same conditional write that
makes them known, so neither can miss or invent one. Consumers need neither the secret nor a look-up.

Decisions: docs/decisions/serving.md (232).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from recommender.contracts.event_kinds import EVENT_NAMES
from recommender.contracts.fields import (
    problem,
    read_cents,
    read_flag,
    read_integer,
    read_list,
    read_object,
    read_optional_text,
    read_text,
    read_time,
)

MAX_EVENTS_PER_CALL: Final = 100
MAX_ITEMS_PER_EVENT: Final = 200
MAX_TOKEN_LENGTH: Final = 4096
CLOCK_SKEW: Final = timedelta(minutes=5)  # of files that are loaded
SENT_AT_TOLERANCE: Final = timedelta(minutes=1)  # what a request may take to arrive; more is a clock that is wrong
MAX_AHEAD: Final = timedelta(days=1)  # of an event without `sent_at`
MAX_AGE: Final = timedelta(days=30)
ATTRIBUTE: Final = "accepted"  # of the session item: the outbox


@dataclass(frozen=True, slots=True)
class Column:
    """One event field: its JSON type, its Snowflake type, whether it must be present, its meaning."""

    name: str
    json_type: str
    sql_type: str
    required: bool
    meaning: str


EVENT_COLUMNS: Final = (
    Column(
        "event_id",
        "string",
        "varchar(128)",
        True,
        "id given by the storefront, unique within its session; the same id counts once there",
    ),
    Column("event_name", "string", "varchar(32)", True, "one of EVENT_NAMES"),
    Column(
        "event_time",
        "string",
        "timestamp_ntz",
        True,
        "when it happened, UTC; by the clock of the API where the browser's is wrong",
    ),
    Column("visitor_id", "string", "varchar(128)", True, "browser"),
    Column("session_id", "string", "varchar(128)", True, "visit; 30 minutes of silence end it"),
    Column("user_id", "string", "varchar(128)", False, "logged-in shopper"),
    Column("items", "array", "variant", False, "items it is about, as [{item_id, quantity, price_cents, index}]"),
    Column("item_list_id", "string", "varchar(128)", False, "placement in which the items stood"),
    Column("search_term", "string", "varchar(256)", False, "what was searched for"),
    Column("transaction_id", "string", "varchar(128)", False, "order id of a purchase or refund"),
    Column("attribution_token", "string", "varchar(4096)", False, "token of the recommendation that is acted on"),
    Column("visible", "boolean", "boolean", False, "view_item_list only: the list was in view"),
    Column("derived", "boolean", "boolean", False, "true where no shop recorded it; never evaluated as real"),
)


@dataclass(frozen=True, slots=True)
class EventItem:
    """One item of an event."""

    item_id: str
    quantity: int = 1
    price_cents: int | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A checked event. `event_time` is aware and in UTC."""

    event_id: str
    event_name: str
    event_time: datetime
    visitor_id: str
    session_id: str
    user_id: str | None = None
    items: tuple[EventItem, ...] = ()
    item_list_id: str | None = None
    search_term: str | None = None
    transaction_id: str | None = None
    attribution_token: str | None = None
    visible: bool = False
    derived: bool = False

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The ids of its items, in order."""
        return tuple(item.item_id for item in self.items)


def parse_event(
    raw: object,
    *,
    now: datetime,
    pointer: str = "",
    visitor_id: str | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    skew: timedelta = timedelta(),
) -> Event:
    """One event from the API; the ids of the enclosing request fill in for absent ones.

    `skew` is added to its time, which may still lie up to MAX_AHEAD after `now` (`none_after` mends that). Raises
    InvalidInput that names the field, for an unknown name, a wrong type, an event further ahead or older than MAX_AGE.
    """
    body = read_object(raw, pointer)
    name = read_text(body.get("event_name"), f"{pointer}/event_name")
    if name not in EVENT_NAMES:
        raise problem(f"{pointer}/event_name", name, "one of " + ", ".join(EVENT_NAMES), "unknown_event")
    return Event(
        event_id=read_text(body.get("event_id"), f"{pointer}/event_id"),
        event_name=name,
        event_time=_recent(body.get("event_time"), now, skew, f"{pointer}/event_time"),
        visitor_id=read_text(body.get("visitor_id", visitor_id), f"{pointer}/visitor_id"),
        session_id=read_text(body.get("session_id", session_id), f"{pointer}/session_id"),
        user_id=read_optional_text(body.get("user_id", user_id), f"{pointer}/user_id"),
        items=_items(body.get("items", ()), f"{pointer}/items"),
        item_list_id=read_optional_text(body.get("item_list_id"), f"{pointer}/item_list_id"),
        search_term=read_optional_text(body.get("search_term"), f"{pointer}/search_term", at_most=256),
        transaction_id=read_optional_text(body.get("transaction_id"), f"{pointer}/transaction_id"),
        attribution_token=read_optional_text(
            body.get("attribution_token"), f"{pointer}/attribution_token", at_most=MAX_TOKEN_LENGTH
        ),
        visible=read_flag(body.get("visible", False), f"{pointer}/visible"),
    )


def skew_of(sent_at: datetime | None, now: datetime) -> timedelta:
    """Return how far the sender's clock is behind; zero within SENT_AT_TOLERANCE, or without `sent_at`."""
    skew = timedelta() if sent_at is None else now - sent_at
    return skew if abs(skew) > SENT_AT_TOLERANCE else timedelta()


def none_after(now: datetime, events: Sequence[Event]) -> list[Event]:
    """The events, those that are after `now` set to it: microseconds apart, so that their order is kept."""
    ahead = [place for place, event in enumerate(events) if event.event_time > now]
    ahead.sort(key=lambda place: events[place].event_time)
    mended = list(events)
    for before_last, place in enumerate(reversed(ahead)):
        mended[place] = replace(events[place], event_time=now - timedelta(microseconds=before_last))
    return mended


def to_record(event: Event) -> dict[str, Any]:
    """The flat record of the S3 landing and the stream: one key per column, times as RFC 3339."""
    return {
        "event_id": event.event_id,
        "event_name": event.event_name,
        "event_time": event.event_time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "visitor_id": event.visitor_id,
        "session_id": event.session_id,
        "user_id": event.user_id,
        "items": [
            {"item_id": item.item_id, "quantity": item.quantity, "price_cents": item.price_cents, "index": item.index}
            for item in event.items
        ],
        "item_list_id": event.item_list_id,
        "search_term": event.search_term,
        "transaction_id": event.transaction_id,
        "attribution_token": event.attribution_token,
        "visible": event.visible,
        "derived": event.derived,
    }


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event that counts from now on, with its verified claims and what it adds to the counters."""

    event: Event
    claims: Mapping[str, Any] | None = None
    rewards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """The outboxes that one shard of the stream delivered at once, in order, each with its sequence number."""

    shard_id: str
    entries: tuple[tuple[str, list[dict[str, Any]]], ...]
    accepted_at: datetime  # of the first one, by the stream's clock

    @property
    def first(self) -> str:
        """The first sequence number."""
        return self.entries[0][0]

    @property
    def last(self) -> str:
        """The last sequence number."""
        return self.entries[-1][0]

    @property
    def records(self) -> list[dict[str, Any]]:
        """All accepted records."""
        return [record for _, records in self.entries for record in records]


def to_accepted_record(accepted: Accepted) -> dict[str, Any]:
    """The record of the outbox and of the S3 landing."""
    return {**to_record(accepted.event), "claims": accepted.claims, "rewards": list(accepted.rewards)}


def pack(accepted: Sequence[Accepted]) -> bytes:
    """Compressed JSON for the session item's binary attribute."""
    return zlib.compress(json.dumps([to_accepted_record(entry) for entry in accepted]).encode(), 1)


def unpack(content: bytes) -> list[dict[str, Any]]:
    """The records that `pack` wrote."""
    records: list[dict[str, Any]] = json.loads(zlib.decompress(content))
    return records


def _recent(value: object, now: datetime, skew: timedelta, pointer: str) -> datetime:
    moment = read_time(value, pointer)
    try:
        moment += skew
    except OverflowError as error:
        code = "event_from_future" if skew > timedelta() else "event_too_old"
        raise problem(pointer, value, "a time near that of the request", code) from error
    if moment > now + MAX_AHEAD:
        raise problem(pointer, moment.isoformat(), f"not after {(now + MAX_AHEAD).isoformat()}", "event_from_future")
    if moment < now - MAX_AGE:
        raise problem(pointer, moment.isoformat(), "at most 30 days old", "event_too_old")
    return moment


def _items(raw: object, pointer: str) -> tuple[EventItem, ...]:
    return tuple(
        _item(read_object(entry, f"{pointer}/{n}"), f"{pointer}/{n}")
        for n, entry in enumerate(read_list(raw, pointer, at_most=MAX_ITEMS_PER_EVENT))
    )


def _item(body: Mapping[str, Any], pointer: str) -> EventItem:
    price, index = body.get("price"), body.get("index")
    return EventItem(
        item_id=read_text(body.get("item_id"), f"{pointer}/item_id"),
        quantity=read_integer(body.get("quantity", 1), f"{pointer}/quantity", low=1, high=10_000),
        price_cents=None if price is None else read_cents(price, f"{pointer}/price"),
        index=None if index is None else read_integer(index, f"{pointer}/index", low=0, high=10_000),
    )
