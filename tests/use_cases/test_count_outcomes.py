"""Exactly once, whatever the stream does: replays, other portions, crashes inside a batch, racing consumers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount, merged, outcomes
from recommender.domain.experiments.running.shop_counts import ShopCount, shop_counts
from recommender.errors import Conflict, DependencyDown
from recommender.ports import StreamPosition
from recommender.use_cases.count_outcomes import Count, Counted, Entry, count_outcomes

from tests.fakes.sources import MemoryMargins

CONFIG = default_config(datetime(2026, 11, 23, tzinfo=UTC))
MARGINS = MemoryMargins({"A": 0.4, "B": 0.1})
SHOP: dict[str, Any] = {"holdout_share": CONFIG.holdout_share, "margins": MARGINS}


def record(rng: random.Random) -> dict[str, Any]:
    """An accepted event of a random visitor, placement, epoch and variant."""
    claims = {
        "experiment": CONFIG.experiment_id,
        "placement": rng.choice(CONFIG.placements),
        "epoch": rng.randint(1, 3),
        "variant": rng.choice(CONFIG.variants),
        "is_holdout": False,
    }
    rewards = rng.choice([["exposure"], ["exposure", "click"], ["click"], [], ["order", "session"], ["refund"]])
    items = [{"item_id": rng.choice("ABC"), "quantity": rng.randint(1, 3), "price_cents": 250}]
    return {
        "visitor_id": f"v_{rng.randint(0, 40)}",
        "event_time": f"2026-11-2{rng.randint(3, 5)}T12:00:00Z",
        "rewards": rewards,
        "claims": claims,
        "items": items,
    }


def stream(seed: int, *, length: int, records: int = 12) -> list[Entry]:
    """Stream records with growing sequence numbers of different length, as DynamoDB's are."""
    rng = random.Random(seed)
    return [(str(97 * n), [record(rng) for _ in range(records)]) for n in range(length)]


def truth(entries: Sequence[Entry]) -> list[CellCount]:
    return outcomes(record for _, records in entries for record in records)


def trade(entries: Sequence[Entry]) -> list[ShopCount]:
    return shop_counts(
        (record for _, records in entries for record in records),
        holdout_share=CONFIG.holdout_share,
        margin_shares=MARGINS.shares,
    )


class CrashingStore(MemoryExperimentStore):
    """Fails before or after a transaction with the given chance, as a network does."""

    def __init__(self, rng: random.Random, chance: float) -> None:
        super().__init__()
        self._rng = rng
        self._chance = chance

    def add_counts(self, cells: Sequence[Count], **where: Any) -> None:
        if self._rng.random() < self._chance:
            raise DependencyDown("the request never arrived")
        super().add_counts(cells, **where)
        if self._rng.random() < self._chance:
            raise DependencyDown("the answer was lost")


def test_a_batch_adds_its_exposures_and_clicks() -> None:
    store, entries = MemoryExperimentStore(), stream(1, length=5)

    counted = count_outcomes(entries, shard_id="a", store=store)

    assert store.counts(CONFIG) == truth(entries)
    assert counted.exposures == sum(cell.exposures for cell in truth(entries))


def test_trade_is_booked_beside_it_and_not_at_all_while_no_experiment_holds_anybody_out() -> None:
    with_shop, without, entries = MemoryExperimentStore(), MemoryExperimentStore(), stream(1, length=5)

    counted = count_outcomes(entries, shard_id="a", store=with_shop, **SHOP)
    count_outcomes(entries, shard_id="a", store=without)

    assert with_shop.shop_counts(first_day="2026-11-23") == trade(entries)
    assert counted.orders == sum(count.orders for count in trade(entries)) > 0
    assert without.shop_counts(first_day="2026-11-23") == []
    assert without.counts(CONFIG) == with_shop.counts(CONFIG)


def test_a_batch_that_comes_again_adds_nothing() -> None:
    store, entries = MemoryExperimentStore(), stream(2, length=5)
    count_outcomes(entries, shard_id="a", store=store)

    assert count_outcomes(entries, shard_id="a", store=store) == Counted()
    assert count_outcomes(entries[2:4], shard_id="a", store=store) == Counted()
    assert store.counts(CONFIG) == truth(entries)


def test_a_batch_of_many_cells_takes_few_transactions() -> None:
    store, entries = MemoryExperimentStore(), stream(3, length=400)
    cells = len(truth(entries))

    counted = count_outcomes(entries, shard_id="a", store=store)

    assert cells > 99
    assert counted.transactions == -(-cells // 99)


def test_a_crash_between_two_transactions_of_a_batch_loses_nothing() -> None:
    entries = stream(4, length=400)
    store = CrashingStore(random.Random(0), 0.0)
    store._chance = 1.0
    with pytest.raises(DependencyDown):
        count_outcomes(entries, shard_id="a", store=store)
    store._chance = 0.0
    at = StreamPosition()
    store.add_counts(truth(entries)[:99], consumer="count_outcomes", shard_id="a", after=at, upto=_rest(entries))

    count_outcomes([("1000000", [])], shard_id="a", store=store)

    assert store.counts(CONFIG) == truth(entries)


def _rest(entries: Sequence[Entry]) -> StreamPosition:
    return StreamPosition(entries[-1][0], tuple(truth(entries)[99:]))


@given(seed=st.integers(0, 2**32), chance=st.floats(0, 0.5), shards=st.integers(1, 3), records=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_replays_and_crashes_never_change_the_counts(seed: int, chance: float, shards: int, records: int) -> None:
    """Each shard is delivered in order, in portions of any size, each again until it succeeds, some again later."""
    rng = random.Random(seed)
    store = CrashingStore(rng, chance)
    sources = {f"shard-{n}": stream(seed + n, length=12, records=records) for n in range(shards)}
    reached = dict.fromkeys(sources, 0)

    while any(reached[name] < len(entries) for name, entries in sources.items()):
        name = rng.choice(list(sources))
        start = max(0, reached[name] - rng.randint(0, 4))  # an overlap with what was delivered before
        end = min(len(sources[name]), start + rng.randint(1, 6))
        try:
            count_outcomes(sources[name][start:end], shard_id=name, store=store, **SHOP)
        except DependencyDown:
            continue
        reached[name] = max(reached[name], end)
    store._chance = 0.0
    for name, entries in sources.items():
        count_outcomes(entries, shard_id=name, store=store, **SHOP)

    assert store.counts(CONFIG) == merged(cell for entries in sources.values() for cell in truth(entries))
    assert store.shop_counts(first_day="2026-11-23") == merged(
        count for entries in sources.values() for count in trade(entries)
    )


def test_a_race_that_is_lost_is_run_again_from_the_stored_position() -> None:
    entries = stream(5, length=6)

    class Raced(MemoryExperimentStore):
        """Another consumer counts the first half just before this one's first transaction."""

        raced = False

        def add_counts(self, cells: Sequence[Count], **where: Any) -> None:
            if not self.raced:
                self.raced = True
                count_outcomes(entries[:3], shard_id="a", store=self)
            super().add_counts(cells, **where)

    store = Raced()

    count_outcomes(entries, shard_id="a", store=store)

    assert store.counts(CONFIG) == truth(entries)


def test_a_race_that_is_lost_again_and_again_is_left_to_the_next_delivery() -> None:
    class Losing(MemoryExperimentStore):
        def add_counts(self, cells: Sequence[Count], **where: Any) -> None:
            raise Conflict("another consumer was first")

    with pytest.raises(Conflict):
        count_outcomes(stream(6, length=2), shard_id="a", store=Losing())


def order(transaction_id: str | None, *items: str, kind: str = "order", visitor: str = "v1") -> dict[str, Any]:
    """An accepted purchase or refund of one unit of each item at 250 cents."""
    return {
        "visitor_id": visitor,
        "event_time": "2026-11-24T12:00:00Z",
        "rewards": [kind],
        "claims": None,
        "transaction_id": transaction_id,
        "items": [{"item_id": item, "quantity": 1, "price_cents": 250} for item in items or ("A",)],
    }


def booked(store: MemoryExperimentStore) -> tuple[int, int]:
    """(orders, revenue in cents) of the shop."""
    counts = store.shop_counts(first_day="2026-11-23")
    return sum(count.orders for count in counts), sum(count.revenue_cents for count in counts)


def test_an_order_counts_once_per_transaction_id_across_sessions() -> None:
    """The same thank-you page in two sessions, which may lie in two shards, in one batch or in two."""
    store = MemoryExperimentStore()

    count_outcomes([("1", [order("T1")]), ("2", [order("T1", visitor="v2")])], shard_id="a", store=store, **SHOP)
    count_outcomes([("1", [order("T1", visitor="v3"), order("T2")])], shard_id="b", store=store, **SHOP)

    assert booked(store) == (2, 2 * 250)


def test_a_refund_counts_once_per_transaction_and_items_and_takes_nothing_from_the_order_s_own_key() -> None:
    store = MemoryExperimentStore()
    refunds = [order("T1", "A", kind="refund"), order("T1", "A", kind="refund"), order("T1", "B", kind="refund")]

    count_outcomes([("1", [order("T1", "A", "B")]), ("2", refunds)], shard_id="a", store=store, **SHOP)
    count_outcomes([("1", refunds)], shard_id="b", store=store, **SHOP)

    assert booked(store) == (1, 0)


def test_orders_without_a_transaction_id_are_told_apart_by_nothing_and_all_count() -> None:
    store = MemoryExperimentStore()

    count_outcomes([("1", [order(None), order(None)])], shard_id="a", store=store, **SHOP)

    assert booked(store) == (2, 500)


def test_a_duplicate_order_keeps_what_else_its_event_counts() -> None:
    store = MemoryExperimentStore()
    repeated = {**order("T1", visitor="v2"), "rewards": ["order", "session"]}

    count_outcomes([("1", [order("T1"), repeated])], shard_id="a", store=store, **SHOP)

    assert booked(store) == (1, 250)
    assert sum(count.sessions for count in store.shop_counts(first_day="2026-11-23")) == 1


def test_an_order_that_another_shard_counts_meanwhile_is_not_counted_again() -> None:
    class Raced(MemoryExperimentStore):
        """Another shard counts the order between the look-up and the transaction."""

        raced = False

        def counted_orders(self, orders: Sequence[str]) -> frozenset[str]:
            found = super().counted_orders(orders)
            if not self.raced:
                self.raced = True
                count_outcomes([("1", [order("T1", visitor="v2")])], shard_id="b", store=self, **SHOP)
            return found

    store = Raced()

    count_outcomes([("1", [order("T1"), order("T2")])], shard_id="a", store=store, **SHOP)

    assert booked(store) == (2, 500)


def test_a_batch_of_many_orders_is_counted_in_portions_that_fit_their_transactions() -> None:
    entries = [(str(n), [order(f"T{10 * n + k}", visitor=f"v{k}") for k in range(10)]) for n in range(1, 31)]

    class Bounded(MemoryExperimentStore):
        def add_counts(self, cells: Sequence[Count], **where: Any) -> None:
            assert 1 + len(cells) + len(where["orders"]) <= 100
            super().add_counts(cells, **where)

    store = Bounded()
    count_outcomes(entries, shard_id="a", store=store, **SHOP)
    count_outcomes(entries, shard_id="b", store=store, **SHOP)

    assert booked(store) == (300, 300 * 250)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.5))
def test_crashes_and_replays_neither_lose_an_order_nor_count_one_twice(seed: int, chance: float) -> None:
    rng = random.Random(seed)
    shards = {
        name: [
            (str(n + 1), [order(f"T{rng.randint(0, 30)}", visitor=f"v{rng.randint(0, 9)}") for _ in range(3)])
            for n in range(20)
        ]
        for name in "ab"
    }
    reported = {one["transaction_id"] for entries in shards.values() for _, found in entries for one in found}
    store = CrashingStore(rng, chance)
    for _ in range(200):
        name = rng.choice("ab")
        start = rng.randint(0, 19)
        reached = store.stream_position(consumer="count_outcomes", shard_id=name).sequence
        start = min(start, int(reached or 0))  # the stream is delivered in order, from anywhere before
        with suppress(DependencyDown, Conflict):
            count_outcomes(shards[name][start : start + 5], shard_id=name, store=store, **SHOP)
    store._chance = 0.0
    for name, entries in shards.items():
        count_outcomes(entries, shard_id=name, store=store, **SHOP)

    assert booked(store) == (len(reported), len(reported) * 250)
