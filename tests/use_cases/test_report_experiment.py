"""The report adds up, names what may be claimed, and refuses claims that the data do not carry."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount
from recommender.errors import NotFound
from recommender.ports import StreamPosition
from recommender.use_cases.reallocate_traffic import reallocate_traffic
from recommender.use_cases.report_experiment import report_experiment, start_experiment

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)
ID = CONFIG.experiment_id


def started(*cells: CellCount) -> MemoryExperimentStore:
    store = MemoryExperimentStore()
    start_experiment(CONFIG, store=store, now=NOW)
    add(store, *cells)
    return store


def add(store: MemoryExperimentStore, *cells: CellCount) -> None:
    after = store.stream_position(consumer="test", shard_id="a")
    upto = StreamPosition(str(int(after.sequence or 0) + 1))
    store.add_counts(cells, consumer="test", shard_id="a", after=after, upto=upto)


def everywhere(exposures: dict[str, int], clicks: dict[str, int], *, epoch: int = 1) -> list[CellCount]:
    return [
        CellCount(ID, placement, epoch, "all", variant, exposures[variant], clicks[variant], shard)
        for placement in CONFIG.placements
        for variant in CONFIG.variants
        for shard in range(8)
    ]


EVEN = {"cohorts": 1000, "hybrid": 1000, "hybrid_margin": 1000}
BETTER = {"cohorts": 18, "hybrid": 24, "hybrid_margin": 18}


def test_an_unknown_experiment_is_not_found() -> None:
    with pytest.raises(NotFound) as refusal:
        report_experiment("exp_other", store=started(), now=NOW)

    assert refusal.value.code == "unknown_experiment"


def test_counts_rates_and_weights_are_reported_by_placement_variant_and_epoch() -> None:
    store = started(*everywhere(EVEN, BETTER))
    reallocate_traffic(at=NOW + timedelta(days=1), store=store)
    add(store, CellCount(ID, "home_hero", 2, "all", "hybrid", 100, 5, 0))

    found = report_experiment(ID, store=store, now=NOW + timedelta(days=2))

    hero = next(entry for entry in found["placements"] if entry["placement"] == "home_hero")
    hybrid = hero["variants"][1]
    assert (hybrid["variant"], hybrid["exposures"], hybrid["clicks"]) == ("hybrid", 8 * 1000 + 100, 8 * 24 + 5)
    assert hybrid["click_rate"] == pytest.approx(197 / 8100, abs=1e-6)
    assert [epoch["exposures"] for epoch in hero["epochs"]] == [[8000, 8000, 8000], [0, 100, 0]]
    assert hero["epochs"][0]["weights"] == pytest.approx([1 / 3] * 3)
    assert found["epoch"] == 2
    assert found["days"] == 2
    json.dumps(found, allow_nan=False)


def test_a_better_variant_shows_its_lift_over_the_control_and_its_chance_to_be_the_best() -> None:
    found = report_experiment(ID, store=started(*everywhere(EVEN, BETTER)), now=NOW + timedelta(days=1))

    lift = found["pooled"]["variants"][1]
    assert 0 < lift["lift_median"] < 24 / 18 - 1, "after a day some of it may be novelty or the weekday"
    assert lift["lift_low"] < 0
    assert found["placements"][0]["variants"][1]["probability_best"] > 0.95
    so_far = found["pooled"]["variants"][1]
    assert so_far["present_low"] > 0
    assert so_far["present_median"] == pytest.approx(24 / 18 - 1, abs=0.05)
    control = dict(found["pooled"]["variants"][0])
    assert (control.pop("variant"), set(control.values())) == ("cohorts", {0.0})


def test_an_estimate_is_told_as_such_and_nothing_may_be_claimed_from_it() -> None:
    found = report_experiment(ID, store=started(*everywhere(EVEN, BETTER)), now=NOW + timedelta(days=1))

    decision = found["decision"]
    assert (decision["status"], decision["rule"], decision["next_look_day"]) == ("undecided", "claim", 8)
    assert found["may_claim"] == []
    assert len(found["so_far"]) == 2
    assert "hybrid is estimated +" in found["so_far"][0]
    assert any("no look has decided yet" in sentence for sentence in found["may_not_claim"])
    assert any("cover 1.0 days" in sentence for sentence in found["may_not_claim"])
    assert not found["split_check"]["suspect"]


def test_a_split_that_does_not_match_the_weights_forbids_every_claim() -> None:
    lost = {**EVEN, "hybrid": 900}
    found = report_experiment(ID, store=started(*everywhere(lost, BETTER)), now=NOW + timedelta(days=9))

    assert found["split_check"]["suspect"]
    assert found["may_claim"] == []
    assert found["may_not_claim"][0].startswith("Any comparison: exposures do not match the weights")


def test_nothing_is_claimed_before_the_first_click() -> None:
    found = report_experiment(ID, store=started(), now=NOW)

    assert found["may_claim"] == []
    assert found["exposures"] == found["clicks"] == 0
    assert found["placements"][0]["variants"][0]["click_rate"] is None


def test_the_hold_out_stands_beside_the_others_and_stays_out_of_the_comparison() -> None:
    held = CellCount(ID, "home_hero", 1, "holdout", "cohorts", 400, 4, 0)
    found = report_experiment(ID, store=started(*everywhere(EVEN, BETTER), held), now=NOW)

    assert found["holdout"]["held_out"] == {"exposures": 400, "clicks": 4, "click_rate": 0.01}
    assert found["exposures"] == 12 * 3 * 8 * 1000


def test_a_draft_that_never_ran_is_known_but_has_no_report_until_an_epoch_exists() -> None:
    store = MemoryExperimentStore()
    store.save_config(replace(CONFIG, status="draft"))

    with pytest.raises(NotFound):
        report_experiment(ID, store=store, now=NOW)
