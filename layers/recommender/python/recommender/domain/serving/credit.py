"""Credit of a session: each reward of a shown list once, each order once.

A list, which is one (recommendation, placement), has one bit mask: a bit for each reward, and for each kind of event
a bit for each position of the list. So an event that reports nothing new of its list is a replay, however it is cut,
and the memory of a list is a few bytes, whatever its length. Orders are remembered as digests.

Decisions: docs/decisions/serving.md (233).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from recommender.contracts.event_kinds import CLICK, EVENT_KINDS, EXPOSURE, IMPRESSION, REFUND
from recommender.contracts.events import Event
from recommender.contracts.fields import problem
from recommender.domain.serving.attribution import Claims
from recommender.errors import InvalidInput

MAX_LISTS: Final = 1_000  # lists of one session that can be credited
MAX_DIGESTS: Final = 5_000  # orders and refunds of one session, and what an older version kept of lists
POSITIONS: Final = 64  # bits of one kind of event; the last one stands for an event without items
NUMBERS: Final = {name: number for number, name in enumerate(EVENT_KINDS)}  # masks that are stored hold them
REWARD_BITS: Final = {EXPOSURE: 1, CLICK: 2}  # of a list; the others are of an order
REWARDS: Final[Mapping[str, tuple[str, ...]]] = {
    name: rewards
    for name, kind in EVENT_KINDS.items()
    if (rewards := tuple(reward for reward in kind.rewards if reward in REWARD_BITS))
}
TRADE: Final[Mapping[str, str]] = {
    name: reward for name, kind in EVENT_KINDS.items() for reward in kind.rewards if reward not in REWARD_BITS
}


@dataclass(frozen=True, slots=True)
class Credit:
    """The new rewards of an event. `is_full`: it would have counted, had the session's memory not been full."""

    rewards: tuple[str, ...] = ()
    is_full: bool = False


@dataclass(slots=True)
class Credits:
    """The memory of one session, to be changed by crediting. `lists`: digest of the list -> mask."""

    lists: dict[bytes, int]
    digests: set[bytes]

    def credit_list(self, event: Event, claims: Claims | None, pointer: str) -> Credit:
        """Credit an event on the list of its verified token; items that did not stand in the list add nothing.

        Raises InvalidInput `not_in_list` where none of its items did, `replayed_token` where nothing is new.
        """
        if claims is None or (event.event_name == IMPRESSION and not event.visible):
            return Credit()
        listed = {item_id: claims.position(item_id) for item_id in event.item_ids}
        places = [place for place in listed.values() if place is not None]
        if listed and not places:
            raise problem(f"{pointer}/items", event.item_ids[0], "an item of the list the token is for", "not_in_list")
        if CLICK in REWARDS.get(event.event_name, ()) and not places:
            return Credit()  # a click is on an item
        scope = digest(claims.recommendation_id, claims.placement)
        if scope not in self.lists and len(self.lists) >= MAX_LISTS:
            return Credit(is_full=True)
        before = self.lists.get(scope, 0) | self._of_older_version(event, claims)
        after = before | _bits(event.event_name, places or [POSITIONS - 1])
        if after == before:
            raise _replayed(claims, pointer)
        rewards = tuple(reward for reward in REWARDS.get(event.event_name, ()) if not before & REWARD_BITS[reward])
        self.lists[scope] = after | sum(REWARD_BITS[reward] for reward in rewards)
        return Credit(rewards)

    def credit_trade(self, event: Event) -> Credit:
        """Credit a purchase or a refund; a confirmation page that is loaded again counts nothing."""
        reward = TRADE.get(event.event_name)
        if reward is None:
            return Credit()
        parts = sorted(event.item_ids) if reward == REFUND else ()
        # Without a transaction id two orders differ in nothing but their event ids.
        known_by = (event.transaction_id,) if event.transaction_id else ("event", event.event_id)
        key = digest(reward, *known_by, *parts)
        if key in self.digests:
            return Credit()
        if len(self.digests) >= MAX_DIGESTS:
            return Credit(is_full=True)
        self.digests.add(key)
        return Credit((reward,))

    def _of_older_version(self, event: Event, claims: Claims) -> int:
        """Read the mask from what the version before kept: a digest of each reward, and of each kind and item."""
        if not self.digests:
            return 0
        scope = (claims.recommendation_id, claims.placement)
        mask = sum(bit for reward, bit in REWARD_BITS.items() if digest(*scope, reward) in self.digests)
        for item_id in event.item_ids or ("",):
            place = claims.position(item_id) if item_id else POSITIONS - 1
            if place is not None and digest(*scope, event.event_name, item_id) in self.digests:
                mask |= _bits(event.event_name, [place])
        return mask


def digest(*parts: str) -> bytes:
    """8 bytes that stand for these parts, in this order."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _bits(event_name: str, places: list[int]) -> int:
    """The bits of these positions, beyond those of the rewards."""
    start = len(REWARD_BITS) + NUMBERS[event_name] * POSITIONS
    mask = 0
    for place in places:
        mask |= 1 << (start + min(place, POSITIONS - 1))
    return mask


def _replayed(claims: Claims, pointer: str) -> InvalidInput:
    where, expected = f"{pointer}/attribution_token", "a reward that was not yet counted"
    return problem(where, claims.recommendation_id, expected, "replayed_token")
