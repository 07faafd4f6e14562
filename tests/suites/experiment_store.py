"""What every ExperimentStore must do. Subclass it with a `store` fixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from recommender.domain.experiments.running.config import default_config, first_snapshot
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.shop_counts import ShopCount
from recommender.errors import Conflict
from recommender.ports import ExperimentStore, StreamPosition

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)
SNAPSHOT = first_snapshot(CONFIG, NOW)
START = StreamPosition()


def cell(exposures: int, clicks: int, *, shard: int = 0, epoch: int = 1, variant: str = "hybrid") -> CellCount:
    return CellCount(CONFIG.experiment_id, "home_hero", epoch, "all", variant, exposures, clicks, shard)


def add(
    store: ExperimentStore, cells: Sequence[CellCount | ShopCount], after: StreamPosition, upto: StreamPosition
) -> None:
    store.add_counts(cells, consumer="count_outcomes", shard_id="shard-1", after=after, upto=upto)


class ExperimentStoreSuite:
    """Behaviour of the port."""

    def test_the_newest_configuration_is_current_and_no_version_is_written_twice(self, store: ExperimentStore) -> None:
        assert store.load_config(CONFIG.experiment_id) is None
        store.save_config(CONFIG)
        store.save_config(replace(CONFIG, version=2, floor_share=0.05))

        with pytest.raises(Conflict):
            store.save_config(CONFIG)

        assert store.load_config(CONFIG.experiment_id) == replace(CONFIG, version=2, floor_share=0.05)

    def test_every_experiment_is_listed_in_its_current_version(self, store: ExperimentStore) -> None:
        other = replace(CONFIG, experiment_id="exp_a")
        for config in (CONFIG, other, replace(CONFIG, version=2)):
            store.save_config(config)

        assert store.experiments() == [other, replace(CONFIG, version=2)]

    def test_a_transition_stores_version_snapshot_and_audit_entry_or_nothing(self, store: ExperimentStore) -> None:
        store.transition(
            config=CONFIG, snapshot=SNAPSHOT, experiment_id="exp_default", moment="1|1", entry={"action": "start"}
        )

        for config, snapshot in (
            (replace(CONFIG, version=2), SNAPSHOT),  # this epoch is taken
            (CONFIG, replace(SNAPSHOT, epoch=2)),  # this version is taken
        ):
            with pytest.raises(Conflict):
                store.transition(
                    config=config, snapshot=snapshot, experiment_id="exp_default", moment="2|2", entry={"action": "no"}
                )

        assert store.load_config("exp_default") == CONFIG
        assert store.load_snapshot() == SNAPSHOT
        assert store.audit_trail("exp_default") == [{"at": "1", "action": "start"}]

    def test_the_audit_trail_is_in_order_of_time_and_of_one_experiment(self, store: ExperimentStore) -> None:
        for moment, action in (("2026-11-24", "pause"), ("2026-11-23", "start")):
            store.append_audit("exp_default", moment, {"action": action})
        store.append_audit("exp_default_2", "2026-11-23", {"action": "start"})

        assert [entry["action"] for entry in store.audit_trail("exp_default")] == ["start", "pause"]
        assert store.audit_trail("exp_default")[0]["at"] == "2026-11-23"

    def test_a_snapshot_follows_only_the_epoch_before_it(self, store: ExperimentStore) -> None:
        assert store.load_snapshot() is None
        store.swap_snapshot(SNAPSHOT)
        second = replace(SNAPSHOT, epoch=2, killed=frozenset({"exp_default/hybrid"}))
        store.swap_snapshot(second)

        for epoch in (1, 2, 4):
            with pytest.raises(Conflict):
                store.swap_snapshot(replace(SNAPSHOT, epoch=epoch))

        assert store.load_snapshot() == second
        assert store.snapshots(first_epoch=1) == [SNAPSHOT, second]
        assert store.snapshots(first_epoch=2) == [second]

    def test_counts_are_added_and_shards_stay_apart(self, store: ExperimentStore) -> None:
        first, second = StreamPosition("9"), StreamPosition("10")

        add(store, [cell(3, 1), cell(2, 0, shard=5)], START, first)
        add(store, [cell(1, 1), cell(4, 0, epoch=2, variant="cohorts")], first, second)

        assert sorted(store.counts(CONFIG), key=lambda count: count.cell) == [
            cell(4, 2),
            cell(2, 0, shard=5),
            cell(4, 0, epoch=2, variant="cohorts"),
        ]
        assert store.stream_position(consumer="count_outcomes", shard_id="shard-1") == second

    def test_a_transaction_from_another_position_adds_nothing(self, store: ExperimentStore) -> None:
        reached = StreamPosition("9", (cell(7, 0, shard=2),))
        add(store, [cell(3, 1)], START, reached)

        for stale in (START, StreamPosition("8"), StreamPosition("9")):
            with pytest.raises(Conflict):
                add(store, [cell(100, 100)], stale, StreamPosition("10"))

        assert store.counts(CONFIG) == [cell(3, 1)]
        assert store.stream_position(consumer="count_outcomes", shard_id="shard-1") == reached

    def test_an_order_is_noted_by_the_transaction_that_counts_it_and_by_no_other(self, store: ExperimentStore) -> None:
        def note(orders: Sequence[str], after: StreamPosition, upto: StreamPosition, *, shard: str = "shard-1") -> None:
            store.add_counts([cell(1, 0)], consumer="c", shard_id=shard, after=after, upto=upto, orders=orders)

        note(["ORDER#a", "ORDER#b"], START, StreamPosition("1"))
        with pytest.raises(Conflict):
            note(["ORDER#c", "ORDER#a"], START, StreamPosition("9"), shard="shard-2")

        assert store.counted_orders(["ORDER#a", "ORDER#b", "ORDER#c"]) == {"ORDER#a", "ORDER#b"}
        assert store.counted_orders([]) == frozenset()
        assert store.counts(CONFIG) == [cell(1, 0)]
        assert store.stream_position(consumer="c", shard_id="shard-2") == START

    def test_shards_and_consumers_have_positions_of_their_own(self, store: ExperimentStore) -> None:
        add(store, [cell(3, 1)], START, StreamPosition("9"))

        assert store.stream_position(consumer="count_outcomes", shard_id="shard-2") == START
        assert store.stream_position(consumer="another", shard_id="shard-1") == START

    def test_ninety_nine_cells_fit_one_transaction(self, store: ExperimentStore) -> None:
        cells = [cell(1, 0, epoch=epoch) for epoch in range(99)]

        add(store, cells, START, StreamPosition("1"))

        assert sorted(store.counts(CONFIG), key=lambda count: count.cell) == cells

    def test_many_epochs_are_read_page_by_page(self, store: ExperimentStore) -> None:
        at = START
        for batch in range(4):
            upto = StreamPosition(str(batch))
            add(store, [cell(1, 0, epoch=99 * batch + n) for n in range(99)], at, upto)
            at = upto

        assert len(store.counts(CONFIG)) == 4 * 99

    def test_serving_time_and_degradation_are_added_with_the_exposures(self, store: ExperimentStore) -> None:
        slow = replace(cell(2, 0), served_ms=55, degraded=1)

        add(store, [slow], START, StreamPosition("1"))
        add(store, [slow, cell(0, 1, shard=1)], StreamPosition("1"), StreamPosition("2"))

        assert sorted(store.counts(CONFIG), key=lambda count: count.cell) == [
            replace(cell(4, 0), served_ms=110, degraded=2),
            cell(0, 1, shard=1),
        ]

    def test_trade_is_added_by_day_group_and_bucket_and_read_from_a_day_on(self, store: ExperimentStore) -> None:
        first = ShopCount("2026-11-23", "treated", 17, sessions=3, orders=1, units=2, revenue_cents=700)
        refund = ShopCount("2026-11-23", "treated", 17, units=-1, revenue_cents=-300, margin_cents=-90)
        other = ShopCount("2026-11-24", "holdout", 63, sessions=1)
        nothing = ShopCount("2026-11-24", "treated", 63)
        reached = StreamPosition("1", (refund, cell(1, 0)))

        add(store, [first, cell(3, 1), nothing], START, reached)
        assert store.stream_position(consumer="count_outcomes", shard_id="shard-1") == reached
        add(store, [refund, other], reached, StreamPosition("2"))

        booked = ShopCount("2026-11-23", "treated", 17, 3, 1, units=1, revenue_cents=400, margin_cents=-90)
        assert store.shop_counts(first_day="2026-01-01") == [booked, other, nothing]
        assert store.shop_counts(first_day="2026-11-24") == [other, nothing]

    def test_a_lease_has_one_holder_until_it_is_given_back_or_over(self, store: ExperimentStore) -> None:
        def takes(holder: str, second: int) -> bool:
            return store.take_lease("epoch", holder, now=NOW + timedelta(seconds=second), seconds=60)

        assert takes("a", 0)
        assert not takes("b", 59)
        assert takes("a", 30)  # the same holder once more: a retry
        assert not takes("b", 89)
        assert takes("b", 90)  # a is thought to be dead
        store.end_lease("epoch", "a")
        assert not takes("a", 91)
        store.end_lease("epoch", "b")
        assert takes("a", 92)
        assert store.take_lease("another", "b", now=NOW, seconds=60)

    def test_the_first_posterior_of_an_epoch_stays(self, store: ExperimentStore) -> None:
        first = {"epoch": 3, "weights": [0.5, 0.25, 0.25]}

        assert store.save_posterior("exp_default", 3, first) == first
        assert store.save_posterior("exp_default", 3, {"epoch": 3, "weights": [1, 0, 0]}) == first
        store.save_posterior("exp_default", 2, {"epoch": 2})

        assert store.posteriors("exp_default") == [{"epoch": 2}, first]
        assert (store.posterior("exp_default", 3), store.posterior("exp_default", 4)) == (first, None)
        assert store.posteriors("exp_other") == []

    def test_an_audit_entry_of_the_same_moment_replaces_the_one_before(self, store: ExperimentStore) -> None:
        for reason in ("first try", "second try"):
            store.append_audit("exp_default", NOW.isoformat(), {"action": "start", "reason": reason})

        trail = store.audit_trail("exp_default")
        assert [(entry["action"], entry["reason"]) for entry in trail] == [("start", "second try")]
