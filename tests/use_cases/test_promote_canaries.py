"""A canary through its epochs on the real counters: more traffic, promotion on its day, or off at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.artifacts import CURRENT, MANIFEST, Pointer
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, default_config
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.design import Design
from recommender.errors import DependencyDown
from recommender.pointers import flip, pointed
from recommender.ports import StreamPosition
from recommender.use_cases.promote_canaries import promote_canaries
from recommender.use_cases.reallocate_traffic import reallocate_traffic
from recommender.use_cases.report_experiment import start_experiment

from tests.adapters.bundle_files import publish_tiny
from tests.fakes.sources import MemoryArtifacts

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
IN_FORCE, TRIED = "20261122T030000Z-0123456789ab", "20261123T030000Z-0123456789ab"
CONFIG = replace(
    default_config(NOW),
    experiment_id="exp_canary",
    mode="canary",
    variants=("hybrid", "canary"),
    bundle_id=TRIED,
    design=Design(rule="optimise", time_box_days=4),
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """The id and the manifest of a tiny bundle."""
    store = MemoryArtifacts()
    bundle_id = publish_tiny(store, tmp_path_factory.mktemp("tiny"))
    return bundle_id, store.objects[f"bundles/{bundle_id}/{MANIFEST}"]


@pytest.fixture
def artifacts(manifest: tuple[str, bytes]) -> MemoryArtifacts:
    """Two bundles, the older one in force."""
    store, (written, content) = MemoryArtifacts(), manifest
    for bundle_id in (IN_FORCE, TRIED):
        store.write(f"bundles/{bundle_id}/{MANIFEST}", content.replace(written.encode(), bundle_id.encode()))
    flip(store, CURRENT, Pointer(IN_FORCE), seen=None)
    return store


class Shop:
    """A canary that is counted day by day."""

    def __init__(self, artifacts: MemoryArtifacts, config: ExperimentConfig = CONFIG) -> None:
        self.store, self.artifacts, self.config = MemoryExperimentStore(), artifacts, config
        start_experiment(config, store=self.store, now=NOW)

    @property
    def snapshot(self) -> Snapshot:
        found = self.store.load_snapshot()
        assert found is not None
        return found

    def count(self, canary_rate: float, *, epoch: int, exposures: int = 10_000) -> None:
        """A day's exposures of each shard and placement by the weights in force; the control is clicked 1.8 %."""
        weights = self.snapshot.weights[self.config.experiment_id]
        cells = [
            CellCount(self.config.experiment_id, placement, epoch, "session", variant, n, round(n * rate), shard)
            for placement in self.config.placements
            for variant, share, rate in zip(self.config.variants, weights[placement], (0.018, canary_rate), strict=True)
            for shard in range(8)
            if (n := round(exposures * share))
        ]
        after = self.store.stream_position(consumer="test", shard_id="a")
        upto = StreamPosition(str(int(after.sequence or 0) + 1))
        self.store.add_counts(cells, consumer="test", shard_id="a", after=after, upto=upto)

    def day(self, number: int, canary_rate: float) -> Mapping[str, Any]:
        """Count a day and end it; the record of its epoch."""
        epoch = self.snapshot.epoch
        self.count(canary_rate, epoch=epoch)
        reallocate_traffic(at=NOW + number * DAY, store=self.store)
        record = self.store.posterior(self.config.experiment_id, epoch)
        assert record is not None
        return record

    def promote(self, number: int) -> dict[str, str]:
        return promote_canaries(at=NOW + number * DAY, store=self.store, artifacts=self.artifacts)

    @property
    def status(self) -> str:
        found = self.store.load_config(self.config.experiment_id)
        assert found is not None
        return found.status


def shares(snapshot: Snapshot) -> set[float]:
    return {weights[1] for weights in snapshot.weights["exp_canary"].values()}


def test_a_canary_that_loses_clicks_is_off_at_the_end_of_the_epoch_in_every_placement(
    artifacts: MemoryArtifacts,
) -> None:
    shop = Shop(artifacts)
    assert shares(shop.snapshot) == {0.05}

    record = shop.day(1, 0.012)

    assert record["canary"]["state"] == "off"
    assert shares(shop.snapshot) == {0.0}
    assert "exp_canary/canary" in shop.snapshot.killed
    assert shop.promote(9) == {}


def test_a_canary_that_loses_nothing_gets_more_traffic_at_each_look_and_its_bundle_is_promoted_on_its_day(
    artifacts: MemoryArtifacts,
) -> None:
    shop = Shop(artifacts)

    states = []
    for number in range(1, 4):
        states.append((shop.day(number, 0.018)["canary"]["state"], shares(shop.snapshot)))
        assert shop.promote(number) == {}
    shop.day(4, 0.018)

    assert states == [("rising", {0.2}), ("rising", {0.5}), ("ready", {0.5})]
    assert pointed(artifacts, CURRENT) == IN_FORCE
    assert shop.promote(4) == {"exp_canary": "promoted"}
    assert shop.promote(4) == {}
    assert pointed(artifacts, CURRENT) == TRIED
    assert shop.status == "promoted"
    assert shop.snapshot.config("exp_canary") is None
    assert set(shop.snapshot.defaults.values()) == {"hybrid"}
    actors = [entry["actor"] for entry in shop.store.audit_trail("exp_canary") if entry["action"] == "promote"]
    assert actors == ["reallocate_traffic"]


def test_without_a_time_box_a_good_canary_waits_for_an_administrator(artifacts: MemoryArtifacts) -> None:
    shop = Shop(artifacts, replace(CONFIG, design=Design(rule="optimise")))

    for number in range(1, 7):
        shop.day(number, 0.018)

    assert shop.promote(6) == {}
    assert (shop.status, pointed(artifacts, CURRENT)) == ("running", IN_FORCE)


def test_a_promotion_that_died_after_its_decision_is_finished_by_the_next(artifacts: MemoryArtifacts) -> None:
    class Dies(MemoryArtifacts):
        def write(self, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
            raise DependencyDown("killed here")

    shop = Shop(artifacts)
    for number in range(1, 5):
        shop.day(number, 0.018)
    dying = Dies()
    dying.objects = artifacts.objects
    with pytest.raises(DependencyDown):
        promote_canaries(at=NOW + 4 * DAY, store=shop.store, artifacts=dying)
    assert (shop.status, pointed(artifacts, CURRENT)) == ("decided", IN_FORCE)

    assert shop.promote(5) == {"exp_canary": "promoted"}
    assert (shop.status, pointed(artifacts, CURRENT)) == ("promoted", TRIED)


def test_a_newer_bundle_in_force_is_told_and_stays(artifacts: MemoryArtifacts, tmp_path: Path) -> None:
    shop = Shop(artifacts)
    for number in range(1, 5):
        shop.day(number, 0.018)
    newer = "20261124T030000Z-0123456789ab"
    artifacts.write(CURRENT, Pointer(newer, IN_FORCE).to_json())

    assert "publish a new canary" in shop.promote(4)["exp_canary"]
    assert pointed(artifacts, CURRENT) == newer
