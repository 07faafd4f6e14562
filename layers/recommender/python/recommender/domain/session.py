"""A session as a fold over its events: what was viewed, put in the cart, searched and bought in this visit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recommender.contracts.events import Event

MAX_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Session:
    """The events of one visit in order of time, the newest MAX_EVENTS of them, each id once."""

    session_id: str
    events: tuple[Event, ...] = ()

    def after(self, *events: Event) -> Session:
        """The session with these events folded in; known ids change nothing."""
        known = {event.event_id for event in self.events}
        fresh: dict[str, Event] = {}
        for event in events:
            if event.event_id not in known:
                fresh.setdefault(event.event_id, event)
        if not fresh:
            return self
        merged = sorted((*self.events, *fresh.values()), key=lambda event: event.event_time)
        return replace(self, events=tuple(merged[-MAX_EVENTS:]))

    @property
    def viewed(self) -> tuple[str, ...]:
        """Items looked at, clicked, put in the cart or bought, in order, repeats kept."""
        active = ("view_item", "select_item", "add_to_cart", "purchase")
        return tuple(item_id for event in self.events if event.event_name in active for item_id in event.item_ids)

    @property
    def cart(self) -> tuple[str, ...]:
        """Items in the cart now: added, not removed, not yet bought; in order of adding."""
        content: dict[str, None] = {}
        for event in self.events:
            for item_id in event.item_ids:
                if event.event_name == "add_to_cart":
                    content[item_id] = None
                elif event.event_name in ("remove_from_cart", "purchase"):
                    content.pop(item_id, None)
        return tuple(content)

    @property
    def bought(self) -> tuple[str, ...]:
        """Items bought in this visit."""
        return tuple(item_id for event in self.events if event.event_name == "purchase" for item_id in event.item_ids)

    @property
    def search_term(self) -> str | None:
        """The newest search of the visit."""
        return next((event.search_term for event in reversed(self.events) if event.search_term), None)
