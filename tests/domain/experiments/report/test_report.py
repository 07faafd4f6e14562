"""What every report holds, whatever happened: the same keys, shares that sum to 1, a size that one answer carries."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.report.report import Beside, report
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, first_snapshot
from recommender.domain.experiments.running.counts import CellCount
from recommender.use_cases.report_experiment import report_experiment

from tests.use_cases.experiment_days import CONFIG, START, add, lived

GOLDEN = Path(__file__).with_name("report_keys.json")
SMALL = replace(CONFIG, placements=CONFIG.placements[:2], design=replace(CONFIG.design, boundary=2.4))
ANSWER_BYTES = 6_000_000  # the most that a Lambda function may answer


@cache
def shipped() -> MemoryExperimentStore:
    return lived(SMALL, 9, lifts={"hybrid": 0.8})


def report_after(days: float, store: MemoryExperimentStore, config: ExperimentConfig = SMALL) -> dict[str, Any]:
    return report_experiment(config.experiment_id, store=store, now=START + timedelta(days=days))


def shape(value: Any) -> Any:
    """Keys without values; of a list its first entry, of a mapping by placement its first."""
    if isinstance(value, dict):
        if set(value) == set(SMALL.placements):
            return {"<placement>": shape(value[SMALL.placements[0]])}
        return {key: shape(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict | list) else []
    return None


def test_the_keys_are_those_of_the_golden_file() -> None:
    """A key that goes breaks whoever reads reports; add, never rename. Write the file anew from `shape` to add one."""
    assert shape(report_after(3, lived(SMALL, 3, lifts={}))) == json.loads(GOLDEN.read_text())


@settings(max_examples=20, deadline=None)
@given(
    days=st.integers(0, 2), lift=st.floats(-0.9, 1.0), kill=st.booleans(), rule=st.sampled_from(["claim", "optimise"])
)
def test_shares_of_traffic_and_chances_to_be_best_sum_to_1(days: int, lift: float, kill: bool, rule: str) -> None:
    config = replace(SMALL, design=replace(SMALL.design, rule=rule))
    store = lived(config, days, lifts={"hybrid": lift}, per_day=2_000)
    if kill:
        kill_variant(store, "hybrid")

    found = report_after(days, store, config)

    for entry in found["placements"]:
        assert sum(arm["weight"] for arm in entry["variants"]) == pytest.approx(1)
        assert sum(arm["probability_best"] for arm in entry["variants"]) == pytest.approx(1)
    for row in found["history"]:
        assert all(sum(entry["weights"]) == pytest.approx(1, abs=1e-5) for entry in row["placements"].values())
    assert sum(segment["exposures"] for segment in found["segments"]["entries"]) == found["exposures"]
    json.dumps(found, allow_nan=False)


def kill_variant(store: MemoryExperimentStore, variant: str) -> None:
    snapshot = store.load_snapshot()
    assert snapshot is not None
    flags = frozenset({f"{SMALL.experiment_id}/{variant}"})
    store.swap_snapshot(replace(snapshot, epoch=snapshot.epoch + 1, killed=flags))


def test_the_history_adds_up_to_the_totals() -> None:
    found = report_after(9, shipped())

    for p, entry in enumerate(found["placements"]):
        name = entry["placement"]
        seen = [
            sum(day) for day in zip(*(row["placements"][name]["exposures"] for row in found["history"]), strict=True)
        ]
        assert seen == [arm["exposures"] for arm in found["placements"][p]["variants"]]
    ends = [row["day"] for row in found["history"]]
    assert [row["from_day"] for row in found["history"]] == [0.0, *ends[:-1]]


def test_what_the_looks_shipped_is_reported_with_its_boundary_and_may_be_claimed() -> None:
    found = report_after(9, shipped())

    assert found["decision"]["status"] == "decided"
    for decided in found["decision"]["placements"].values():
        assert (decided["status"], decided["variant"], decided["by"]) == ("ship", "hybrid", "rule")
        assert decided["z"] >= decided["boundary"] > 0
    assert found["may_claim"][0].startswith("hybrid is better than cohorts in ")
    assert found["forecast"] is None, "nothing is left to wait for"


def test_an_experiment_that_is_out_of_force_keeps_its_age_and_its_decisions() -> None:
    """Promoted on day 9; the report is read a month later."""
    store = lived(SMALL, 9, lifts={"hybrid": 0.8})
    last = store.load_snapshot()
    assert last is not None
    promoted = replace(SMALL, version=2, status="promoted")
    store.save_config(promoted)
    without = Snapshot(
        last.epoch + 1, (START + timedelta(days=10)).isoformat(), (), {}, defaults={"home_hero": "hybrid"}
    )
    store.swap_snapshot(without)

    found = report_after(40, store)

    assert found["days"] == 10
    assert found["headline"] == "Promoted. hybrid serves all 2 placements."
    assert {arm["weight"] for entry in found["placements"] for arm in entry["variants"]} == {0.0}


def test_the_simulated_clock_runs_ahead_of_ours() -> None:
    assert report_after(0, lived(SMALL, 3, lifts={}))["days"] == 3


def test_an_audit_entry_of_a_simulation_marks_the_report() -> None:
    store = lived(SMALL, 1, lifts={})
    assert report_after(1, store)["simulated"] is False

    store.append_audit(SMALL.experiment_id, START.isoformat(), {"action": "simulate", "time": START.isoformat()})

    assert report_after(1, store)["simulated"] is True


def test_a_month_of_hourly_epochs_in_12_placements_fits_into_one_answer() -> None:
    """Fewer shards and clicks than there would be, but every row: 672 epochs x 12 placements x 3 variants."""
    epochs = 28 * 24
    weights = {CONFIG.experiment_id: CONFIG.uniform_weights()}
    first = replace(first_snapshot(CONFIG, START), weights=weights)
    snapshots = [
        replace(first, epoch=1 + n, created_at=(START + timedelta(hours=n)).isoformat()) for n in range(epochs)
    ]
    cells = [
        CellCount(CONFIG.experiment_id, placement, snapshot.epoch, "user", variant, 238, 4, snapshot.epoch % 8)
        for snapshot in snapshots
        for placement in CONFIG.placements
        for variant in CONFIG.variants
    ]

    found = report(CONFIG, cells, snapshots, now=START + timedelta(days=28), beside=Beside())

    assert len(found["history"]) == 28
    assert len(json.dumps(found)) < ANSWER_BYTES / 4, "records add some"


def test_late_counts_of_one_more_epoch_are_in_the_totals() -> None:
    store = lived(SMALL, 1, lifts={})
    before = report_after(1, store)["exposures"]

    add(store, [CellCount(SMALL.experiment_id, "home_hero", 1, "user", "hybrid", 5, 1, 0)])

    assert report_after(1, store)["exposures"] == before + 5
