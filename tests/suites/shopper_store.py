"""What every ShopperStore must do. Subclass it with a `store` fixture."""

from __future__ import annotations

from recommender.domain.shopper import PurchaseHistory, Shopper
from recommender.ports import ShopperStore

HISTORY = PurchaseHistory(("SKU_ü", "SKU_2"), (3, 1), (20_000.25, 20_001.5), (19_000.0, 20_001.5), count_orders=3)
SHOPPER = Shopper("u1", HISTORY, cohort=4, consent="contextual")


class ShopperStoreSuite:
    """Behaviour of the port."""

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
