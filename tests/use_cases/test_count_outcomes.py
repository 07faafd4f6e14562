"""Exactly once, whatever the stream does: replays, other portions, crashes inside a batch, racing consumers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.adapters.memory.margins import MemoryMargins
from recommender.domain.experiments.config import default_config
from recommender.domain.experiments.counts import CellCount, merged, outcomes
from recommender.domain.experiments.shop_counts import ShopCount, shop_counts
from recommender.errors import Conflict, DependencyDown
from recommender.ports import StreamPosition
from recommender.use_cases.count_outcomes import Count, Counted, Entry, count_outcomes

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

    def add_counts(
        self, cells: Sequence[Count], *, consumer: str, shard_id: str, after: StreamPosition, upto: StreamPosition
    ) -> None:
        if self._rng.random() < self._chance:
            raise DependencyDown("the request never arrived")
        super().add_counts(cells, consumer=consumer, shard_id=shard_id, after=after, upto=upto)
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
