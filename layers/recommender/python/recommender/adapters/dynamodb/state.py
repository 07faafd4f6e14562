"""The serving path's one read: the session and the shopper in a single BatchGetItem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from recommender.adapters.dynamodb.client import Database, Item
from recommender.adapters.dynamodb.sessions import is_expired, unpack_session
from recommender.adapters.dynamodb.shoppers import read_shopper
from recommender.adapters.session_item import SESSION_ATTRIBUTES
from recommender.contracts.tables import EXPIRES_AT
from recommender.domain.session import Session
from recommender.domain.shopper import Shopper
from recommender.errors import DependencyDown


class DynamoState:
    """A StateReader."""

    def __init__(self, database: Database, *, sessions_table: str, shoppers_table: str) -> None:
        """Over these two tables."""
        self._database = database
        self._sessions_table = sessions_table
        self._shoppers_table = shoppers_table

    def read(self, *, session_id: str, shopper_ids: Sequence[str], now: datetime) -> tuple[Session, Shopper | None]:
        """The session, without its digests and outbox, and the first of `shopper_ids` that is known."""
        wanted: dict[str, Any] = {
            self._sessions_table: {
                "Keys": [{"session_id": {"S": session_id}}],
                "ProjectionExpression": ", ".join(("session_id", *SESSION_ATTRIBUTES, EXPIRES_AT)),
                "ConsistentRead": True,  # what was just posted counts on the next page view
            }
        }
        distinct = list(dict.fromkeys(shopper_ids))
        if distinct:
            wanted[self._shoppers_table] = {"Keys": [{"shopper_id": {"S": shopper_id}} for shopper_id in distinct]}
        answer = self._database.call("batch_get_item", RequestItems=wanted)
        if answer.get("UnprocessedKeys"):
            raise DependencyDown("DynamoDB throttled the read of session and shopper")
        try:
            return _unpacked(answer["Responses"], session_id, distinct, now, self._sessions_table, self._shoppers_table)
        except Exception as error:  # whatever bytes somebody wrote there, the page goes on without them
            raise DependencyDown(f"what is stored of the session or the shopper cannot be read: {error!r}") from error


def _unpacked(
    found: Mapping[str, Sequence[Item]], session_id: str, shopper_ids: Sequence[str], now: datetime, *tables: str
) -> tuple[Session, Shopper | None]:
    sessions_table, shoppers_table = tables
    session = Session(session_id)
    for item in found.get(sessions_table, ()):
        if not is_expired(item, now):
            session = unpack_session(session_id, item)
    items = {item["shopper_id"]["S"]: item for item in found.get(shoppers_table, ())}
    known = (read_shopper(items[shopper_id], now) for shopper_id in shopper_ids if shopper_id in items)
    return session, next((shopper for shopper in known if shopper is not None), None)
