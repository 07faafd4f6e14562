"""A session as a fold over its events: what was viewed, put in the cart, searched and bought in this visit.

Looking at lists changes none of that: an impression is counted and nothing else. The newest events that show what
the shopper wants are kept whole, because their order and their kind are evidence; what older ones did to the cart,
to the items viewed and to the items bought is folded into moments by item.

What is known of a shopper before this visit: purchases, segment, consent.

Decisions: docs/decisions/serving.md (230).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from recommender.contracts.event_kinds import ADDED, BOUGHT, EVENT_KINDS, IMPRESSION, REMOVED, VIEWED
from recommender.contracts.events import Event

MAX_EVENTS: Final = 50
MAX_CHARACTERS: Final = 16_000  # of all texts of the events that are kept whole
FOLDED_ITEMS: Final = 200  # of each kind, remembered after their events left the window
FOLDED_CHARACTERS: Final = 6_000  # of their ids, of each kind
EFFECTS: Final[Mapping[str, tuple[str, ...]]] = {
    name: kind.effects for name, kind in EVENT_KINDS.items() if kind.effects
}

Moments = Mapping[str, int]  # item id -> microseconds since the epoch


@dataclass(frozen=True, slots=True)
class Folded:
    """Effects of events that left the window: the newest moment of each item, so that a repeated event changes nothing.

    `added` holds only what is still in the cart.
    """

    viewed: Moments = field(default_factory=dict)
    added: Moments = field(default_factory=dict)
    removed: Moments = field(default_factory=dict)
    bought: Moments = field(default_factory=dict)

    def after(self, events: Iterable[Event]) -> Folded:
        """Fold these events in, in any order; of each kind the FOLDED_ITEMS newest items are remembered."""
        kinds = {kind: dict(getattr(self, kind)) for kind in (VIEWED, ADDED, REMOVED, BOUGHT)}
        for event in events:
            moment = microseconds(event)
            for kind in EFFECTS[event.event_name]:
                for item_id in event.item_ids:
                    kinds[kind][item_id] = max(moment, kinds[kind].get(item_id, moment))
        taken_out = {**kinds[REMOVED]}
        for item_id, moment in kinds[BOUGHT].items():
            taken_out[item_id] = max(moment, taken_out.get(item_id, moment))
        kinds[ADDED] = {item: moment for item, moment in kinds[ADDED].items() if moment > taken_out.get(item, 0)}
        return Folded(**{kind: _newest_items(moments) for kind, moments in kinds.items()})


@dataclass(frozen=True, slots=True)
class Session:
    """One visit. `events`: the newest MAX_EVENTS that have EFFECTS, in order of time, each id once."""

    session_id: str
    events: tuple[Event, ...] = ()
    folded: Folded = field(default_factory=Folded)
    impressions: int = 0  # lists that were in view
    search: tuple[int, str] | None = None  # the newest one: microseconds since the epoch, and its term

    def after(self, *events: Event) -> Session:
        """Return the session with these events folded in; ids that it holds change nothing."""
        known = {event.event_id for event in self.events}
        fresh: dict[str, Event] = {}
        for event in events:
            if event.event_id not in known:
                fresh.setdefault(event.event_id, event)
        if not fresh:
            return self
        intents = [event for event in (*self.events, *fresh.values()) if event.event_name in EFFECTS]
        intents.sort(key=lambda event: event.event_time)
        first = _start_of_window(intents)
        searches = [(microseconds(event), event.search_term) for event in fresh.values() if event.search_term]
        return replace(
            self,
            events=tuple(intents[first:]),
            folded=self.folded.after(intents[:first]) if first else self.folded,
            impressions=self.impressions + sum(map(is_impression, fresh.values())),
            search=max([*searches, *([self.search] if self.search else [])], key=lambda one: one[0], default=None),
        )

    @property
    def viewed(self) -> tuple[str, ...]:
        """Items looked at, clicked, put in the cart or bought, in order; repeats are kept while their events are."""
        newest = (item for event in self.events if VIEWED in _effects(event) for item in event.item_ids)
        return (*_in_order(self.folded.viewed), *newest)

    @property
    def cart(self) -> tuple[str, ...]:
        """Items in the cart now: added, not removed, not yet bought; in order of adding."""
        content = dict.fromkeys(_in_order(self.folded.added))
        for event in self.events:
            effects = _effects(event)
            for item_id in event.item_ids:
                if ADDED in effects:
                    content[item_id] = None
                elif REMOVED in effects or BOUGHT in effects:
                    content.pop(item_id, None)
        return tuple(content)

    @property
    def bought(self) -> tuple[str, ...]:
        """Items bought in this visit."""
        newest = (item for event in self.events if BOUGHT in _effects(event) for item in event.item_ids)
        return (*_in_order(self.folded.bought), *newest)

    @property
    def search_term(self) -> str | None:
        """The newest search of the visit."""
        return None if self.search is None else self.search[1]


def is_impression(event: Event) -> bool:
    """Return whether the event reports a list that was in view."""
    return event.event_name == IMPRESSION and event.visible


def microseconds(event: Event) -> int:
    """Count the microseconds from the epoch to the event, exactly."""
    return int(event.event_time.timestamp()) * 1_000_000 + event.event_time.microsecond


def _effects(event: Event) -> tuple[str, ...]:
    return EFFECTS.get(event.event_name, ())


def _start_of_window(events: Sequence[Event]) -> int:
    """Find where the newest events begin that are within MAX_EVENTS and MAX_CHARACTERS."""
    first, characters = len(events), 0
    while first > max(0, len(events) - MAX_EVENTS):
        characters += _characters(events[first - 1])
        if characters > MAX_CHARACTERS:
            break
        first -= 1
    return first


def _characters(event: Event) -> int:
    texts = (event.event_id, event.visitor_id, event.user_id, event.item_list_id, event.search_term)
    return sum(len(text or "") for text in (*texts, event.transaction_id, *event.item_ids))


def _newest_items(moments: Moments) -> dict[str, int]:
    """Keep the newest items within FOLDED_ITEMS and FOLDED_CHARACTERS, oldest first."""
    kept: list[tuple[str, int]] = []
    characters = 0
    for item_id, moment in sorted(moments.items(), key=lambda entry: entry[1], reverse=True)[:FOLDED_ITEMS]:
        characters += len(item_id)
        if characters > FOLDED_CHARACTERS:
            break
        kept.append((item_id, moment))
    return dict(reversed(kept))


def _in_order(moments: Moments) -> list[str]:
    return sorted(moments, key=lambda item_id: moments[item_id])


UNKNOWN_COHORT = -1
RECENT_HALF_LIFE_DAYS = 45.0


@dataclass(frozen=True, slots=True)
class PurchaseHistory:
    """Distinct items bought, most recent last. Parallel tuples, one entry an item."""

    item_ids: tuple[str, ...] = ()
    orders: tuple[int, ...] = ()  # number of orders that contained the item
    last_on: tuple[float, ...] = ()  # when it was last bought, days since the epoch (UTC)
    first_on: tuple[float, ...] = ()  # when it was first bought, days since the epoch (UTC)
    count_orders: int = 0  # orders of the shopper in all
    # orders of the item faded by half each RECENT_HALF_LIFE_DAYS, as of last_on; empty: taken as evenly spaced
    recent: tuple[float, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True for a shopper without any purchase."""
        return not self.item_ids


@dataclass(frozen=True, slots=True)
class Shopper:
    """A shopper: a logged-in user where known, else the visitor."""

    shopper_id: str
    history: PurchaseHistory = field(default_factory=PurchaseHistory)
    cohort: int = UNKNOWN_COHORT
    consent: str = "full"  # none, contextual, full
    erased: bool = False  # a tombstone: serve as if never seen


ANONYMOUS = Shopper("")
