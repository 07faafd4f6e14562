"""What is known of a shopper before this visit: purchases, segment, consent."""

from __future__ import annotations

from dataclasses import dataclass, field

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
