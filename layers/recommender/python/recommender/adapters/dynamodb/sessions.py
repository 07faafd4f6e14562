"""Sessions on DynamoDB: one item a session, written under a condition, whose stream is the outbox.

The item: `session_id`, `version`, `packed` (the session's events), `seen` and `credited` (8-byte digests in
a row), `accepted` (what this write added; contracts/outbox.py), `expires_at`. An expired item may still
lie there for days, so readers look at the time and writers may replace it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from recommender.adapters.dynamodb.client import Database, Item
from recommender.contracts.events import Event, EventItem
from recommender.contracts.outbox import ATTRIBUTE, Accepted, pack
from recommender.contracts.tables import EXPIRES_AT, SESSION_TTL_SECONDS
from recommender.domain.session import Session
from recommender.ports import SessionState

DIGEST_BYTES: Final = 8


class DynamoSessions:
    """A SessionStore."""

    def __init__(self, database: Database, table: str) -> None:
        """Sessions in this table."""
        self._database = database
        self._table = table

    def load(self, session_id: str, *, now: datetime) -> SessionState:
        """The state of a session; an empty one of version 0 where there is none or it has expired."""
        answer = self._database.call(
            "get_item", TableName=self._table, Key={"session_id": {"S": session_id}}, ConsistentRead=True
        )
        item = answer.get("Item")
        if item is None or is_expired(item, now):
            return SessionState(Session(session_id))
        return SessionState(
            session=unpack_session(session_id, item["packed"]["B"]),
            version=int(item["version"]["N"]),
            seen=_digests(item["seen"]["B"]),
            credited=_digests(item["credited"]["B"]),
        )

    def accept(self, state: SessionState, accepted: Sequence[Accepted], *, now: datetime) -> None:
        """Store `state` with its outbox where the stored version is the one that was read."""
        moment = int(now.timestamp())
        item: Item = {
            "session_id": {"S": state.session.session_id},
            "version": {"N": str(state.version)},
            "packed": {"B": pack_session(state.session)},
            "seen": {"B": b"".join(sorted(state.seen))},
            "credited": {"B": b"".join(sorted(state.credited))},
            ATTRIBUTE: {"B": pack(accepted)},
            EXPIRES_AT: {"N": str(moment + SESSION_TTL_SECONDS)},
        }
        if state.version == 1:
            condition, values = "attribute_not_exists(session_id) OR #expires <= :value", str(moment)
            names = {"#expires": EXPIRES_AT}
        else:
            condition, values = "#version = :value", str(state.version - 1)
            names = {"#version": "version"}
        self._database.call(
            "put_item",
            TableName=self._table,
            Item=item,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={":value": {"N": values}},
        )


def is_expired(item: Item, now: datetime) -> bool:
    """True for an item whose time is over, though DynamoDB has not deleted it yet."""
    return int(item[EXPIRES_AT]["N"]) <= now.timestamp()


def pack_session(session: Session) -> bytes:
    """The events as rows of values, compressed: about 2 KB for 50 events. Attribution tokens are not kept."""
    rows = [
        [
            event.event_id,
            event.event_name,
            int(event.event_time.timestamp() * 1_000_000),
            event.visitor_id,
            event.user_id,
            [[item.item_id, item.quantity, item.price_cents, item.index] for item in event.items],
            event.item_list_id,
            event.search_term,
            event.transaction_id,
            event.visible,
            event.derived,
        ]
        for event in session.events
    ]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


def unpack_session(session_id: str, content: bytes) -> Session:
    """The inverse of `pack_session`."""
    return Session(session_id, tuple(_event(session_id, row) for row in json.loads(zlib.decompress(content))))


def _event(session_id: str, row: Sequence[Any]) -> Event:
    event_id, name, microseconds, visitor_id, user_id, items, list_id, term, transaction_id, visible, derived = row
    return Event(
        event_id=event_id,
        event_name=name,
        event_time=datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000),
        visitor_id=visitor_id,
        session_id=session_id,
        user_id=user_id,
        items=tuple(EventItem(*item) for item in items),
        item_list_id=list_id,
        search_term=term,
        transaction_id=transaction_id,
        visible=visible,
        derived=derived,
    )


def _digests(content: bytes) -> frozenset[bytes]:
    return frozenset(_pieces(bytes(content)))


def _pieces(content: bytes) -> Iterable[bytes]:
    return (content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES))
