"""The size of a synthetic history, its shares, and the traffic of its days.

The shares are assumptions of this shop, chosen to be plausible; what they come to is `Shop.events_per_session`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

UNKNOWN_SHARE: Final = 0.28  # of sessions
LATE_SHARE: Final = 0.01  # of events, up to 30 days
TWICE_SHARE: Final = 0.005  # of events
SEARCH_SHARE: Final = 0.25  # of sessions
VIEWS_PER_SESSION: Final = 4.0
CLICK_SHARE: Final = 0.08  # of lists; the item that is looked at next stood in the list
CART_SHARE: Final = 0.12  # of views
REMOVAL_SHARE: Final = 0.1  # of cart additions
ORDER_SHARE: Final = 0.4  # of sessions with something left in the cart; the others abandon it
REFUND_SHARE: Final = 0.02  # of orders
CORRECTION_SHARE: Final = 0.01  # of order lines, delivered again with one piece more
REVIEW_SHARE: Final = 0.05  # of order lines
HOLDOUT_SHARE: Final = 0.05  # of visitors
DEGRADED_SHARE: Final = 0.005  # of lists
EVENTS_PER_SESSION: Final = 4.89  # what the shares above come to without lists, clicks, refunds and second deliveries
EVENTS_PER_SHOPPER: Final = 75
EVENTS_PER_ITEM: Final = 600
MOST_ITEMS: Final = 50_000
WEEK: Final = (0.95, 0.9, 0.92, 0.97, 1.05, 1.15, 1.06)  # Monday first
SECOND: Final = 1_000_000  # microseconds
DAY: Final = 86_400 * SECOND
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shop:
    """The size of the history. `events` is the number over all days, reached within some percent.

    `lists_per_session` is the mean number of recommended lists in view, of 4 to 8 items each; at most one before each
    view, so at most VIEWS_PER_SESSION.
    """

    events: int
    days: int
    first: date = date(2023, 1, 1)
    seed: int = 7
    shoppers: int = 40_000
    items: int = 5_000
    lists_per_session: float = 1.0

    @property
    def events_per_session(self) -> float:
        """Events of a session on average, each counted once, refunds left out."""
        return EVENTS_PER_SESSION + min(self.lists_per_session, VIEWS_PER_SESSION) * (1 + CLICK_SHARE)


def sized(events: int, days: int, *, shoppers: int | None = None, items: int | None = None, **given: Any) -> Shop:
    """A shop with shoppers and items that fit the number of its events, where they are not given."""
    return Shop(
        events,
        days,
        shoppers=shoppers or max(100, events // EVENTS_PER_SHOPPER),
        items=items or min(MOST_ITEMS, max(200, events // EVENTS_PER_ITEM)),
        **given,
    )


def season(day: date) -> float:
    """Return the traffic of a day, 1 on average: the week's course, a summer's dip, the end of the year."""
    place = day.timetuple().tm_yday / 365.25
    year = 1.0 + 0.12 * np.cos(2 * np.pi * place) + 0.45 * np.exp(-(((place - 0.93) / 0.03) ** 2))
    return float(WEEK[day.weekday()] * year / 1.024)
