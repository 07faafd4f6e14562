"""What every ShopperStore must do. Subclass it with a `store` fixture that tells the time by `clock`."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from recommender.contracts.tables import SHOPPER_TTL_SECONDS
from recommender.domain.serving.visit import PurchaseHistory, Shopper
from recommender.ports import ShopperStore

HISTORY = PurchaseHistory(("SKU_ü", "SKU_2"), (3, 1), (20_000.25, 20_001.5), (19_000.0, 20_001.5), count_orders=3)
SHOPPER = Shopper("u1", HISTORY, cohort=4, consent="contextual")


@dataclass
class Clock:
    """Epoch seconds that a test sets."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class ShopperStoreSuite:
    """Behaviour of the port."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    def test_who_is_not_written_again_is_forgotten(self, store: ShopperStore, clock: Clock) -> None:
        store.save([SHOPPER, Shopper("u2")])
        clock.now += SHOPPER_TTL_SECONDS - 1
        store.save([Shopper("u2")])

        assert store.load("u1") == SHOPPER

        clock.now += 1

        assert store.load("u1") is None
        assert store.load("u2") == Shopper("u2")

    def test_an_unknown_shopper_is_none(self, store: ShopperStore) -> None:
        assert store.load("u1") is None

    def test_a_shopper_comes_back_whole(self, store: ShopperStore) -> None:
        store.save([SHOPPER, Shopper("u2", erased=True)])

        assert store.load("u1") == SHOPPER
        assert store.load("u2") == Shopper("u2", erased=True)

    def test_a_newer_version_replaces_the_older_one(self, store: ShopperStore) -> None:
        store.save([SHOPPER])
        store.save([Shopper("u1"), Shopper("u1", cohort=2)])

        assert store.load("u1") == Shopper("u1", cohort=2)

    def test_many_shoppers_are_saved_at_once(self, store: ShopperStore) -> None:
        store.save([Shopper(f"u{n}", cohort=n) for n in range(60)])

        assert [store.load(f"u{n}") for n in (0, 24, 25, 59)] == [Shopper(f"u{n}", cohort=n) for n in (0, 24, 25, 59)]
