"""How a session lies in the store: attributes of one item, all but `accepted` carried on from write to write.

packed        events of the window, as rows of values, compressed
folded        what older events did, the newest search and the number of impressions, compressed
seen          8-byte digests of the newest event ids, in a row
seen_before   those of the ids before them
credited      8-byte digests of orders and refunds (and, of the version before, of every reward of a list)
lists         what is credited of each list: 8 bytes of digest, 1 byte of length, so many bytes of mask

An item of the version before has no `folded`, `seen_before` and `lists`, and its window holds impressions too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from recommender.contracts.events import ATTRIBUTE, Accepted, Event, EventItem, pack
from recommender.domain.serving.visit import Folded, Session, microseconds
from recommender.errors import TooLarge
from recommender.ports import SessionState

DIGEST_BYTES: Final = 8
MAX_ITEM_BYTES: Final = 390_000  # DynamoDB takes 400 KB; the rest is for the names of attributes, keys and numbers
SESSION_ATTRIBUTES: Final = ("packed", "folded")  # all that a page view reads


def to_attributes(state: SessionState, accepted: Sequence[Accepted]) -> dict[str, bytes]:
    """Write the binary attributes of a state and of its outbox. Raises TooLarge for more than an item holds."""
    attributes = {
        "packed": pack_events(state.session),
        "folded": pack_folded(state.session),
        "seen": b"".join(sorted(state.seen)),
        "seen_before": b"".join(sorted(state.seen_before)),
        "credited": b"".join(sorted(state.credited)),
        "lists": pack_lists(state.lists),
        ATTRIBUTE: pack(accepted),
    }
    size = sum(map(len, attributes.values()))
    if size > MAX_ITEM_BYTES:
        raise TooLarge(f"{size} bytes of one session in one write, at most {MAX_ITEM_BYTES}")
    return attributes


def to_state(session_id: str, version: int, attributes: Mapping[str, bytes]) -> SessionState:
    """Read what `to_attributes` wrote, of this version or of the one before."""
    return SessionState(
        session=read_session(session_id, attributes),
        version=version,
        seen=_digests(attributes["seen"]),
        credited=_digests(attributes["credited"]),
        lists=unpack_lists(attributes.get("lists", b"")),
        seen_before=_digests(attributes.get("seen_before", b"")),
    )


def read_session(session_id: str, attributes: Mapping[str, bytes]) -> Session:
    """Read the visit from the SESSION_ATTRIBUTES."""
    events = [_event(session_id, row) for row in _unpack(attributes["packed"])]
    if "folded" not in attributes:
        return Session(session_id).after(*events)
    folded = _unpack(attributes["folded"])
    search = folded["search"]
    return Session(
        session_id,
        tuple(events),
        Folded(**{kind.name: dict(folded[kind.name]) for kind in fields(Folded)}),
        impressions=folded["impressions"],
        search=None if search is None else (search[0], search[1]),
    )


def pack_events(session: Session) -> bytes:
    """Write the events of the window: about 2 KB for 50 of them. Attribution tokens are not kept."""
    return _pack(
        [
            [
                event.event_id,
                event.event_name,
                microseconds(event),
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
    )


def pack_folded(session: Session) -> bytes:
    """Write what older events did: of each kind the items in order, with their moments."""
    kinds = {kind.name: list(getattr(session.folded, kind.name).items()) for kind in fields(Folded)}
    return _pack({**kinds, "search": session.search, "impressions": session.impressions})


def pack_lists(lists: Mapping[bytes, int]) -> bytes:
    """Write what is credited of each list."""
    masks = {key: mask.to_bytes((mask.bit_length() + 7) // 8, "little") for key, mask in sorted(lists.items())}
    return b"".join(key + bytes([len(mask)]) + mask for key, mask in masks.items())


def unpack_lists(content: bytes) -> dict[bytes, int]:
    """Read what `pack_lists` wrote."""
    lists: dict[bytes, int] = {}
    start = 0
    while start < len(content):
        mask_at = start + DIGEST_BYTES + 1
        end = mask_at + content[mask_at - 1]
        lists[content[start : mask_at - 1]] = int.from_bytes(content[mask_at:end], "little")
        start = end
    return lists


def _pack(values: Any) -> bytes:
    return zlib.compress(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode(), 1)


def _unpack(content: bytes) -> Any:
    return json.loads(zlib.decompress(content))


def _event(session_id: str, row: Sequence[Any]) -> Event:
    event_id, name, moment, visitor_id, user_id, items, list_id, term, transaction_id, visible, derived = row
    return Event(
        event_id=event_id,
        event_name=name,
        event_time=datetime.fromtimestamp(moment // 1_000_000, UTC).replace(microsecond=moment % 1_000_000),
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


def _pieces(content: bytes) -> Iterator[bytes]:
    return (content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES))
