"""Sessions on DynamoDB: one item a session, written under a condition, whose stream is the outbox.

The item: `session_id`, `version`, `expires_at`, and the binary attributes of adapters/session_item.py, of which
`accepted` is what this write added (contracts/events.py). An expired item may still lie there for days, so readers
look at the time and writers may replace it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recommender.adapters.dynamodb.client import Database, Item
from recommender.adapters.session_item import read_session, to_attributes, to_state
from recommender.contracts.events import Accepted
from recommender.contracts.tables import EXPIRES_AT, SESSION_TTL_SECONDS
from recommender.domain.serving.visit import Session
from recommender.ports import SessionState


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
        return to_state(session_id, int(item["version"]["N"]), _binaries(item))

    def accept(self, state: SessionState, accepted: Sequence[Accepted], *, now: datetime) -> None:
        """Store `state` with its outbox where the stored version is the one that was read."""
        moment = int(now.timestamp())
        item: Item = {
            "session_id": {"S": state.session.session_id},
            "version": {"N": str(state.version)},
            EXPIRES_AT: {"N": str(moment + SESSION_TTL_SECONDS)},
            **{name: {"B": content} for name, content in to_attributes(state, accepted).items()},
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


def unpack_session(session_id: str, item: Item) -> Session:
    """The visit of an item, of which no more than the SESSION_ATTRIBUTES need to have been read."""
    return read_session(session_id, _binaries(item))


def is_expired(item: Item, now: datetime) -> bool:
    """True for an item whose time is over, though DynamoDB has not deleted it yet."""
    return int(item[EXPIRES_AT]["N"]) <= now.timestamp()


def _binaries(item: Item) -> dict[str, bytes]:
    return {name: bytes(value["B"]) for name, value in item.items() if "B" in value}
