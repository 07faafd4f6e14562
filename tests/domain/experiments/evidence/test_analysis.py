"""From stored counts to the record of an epoch: decisions fall on registered days, rest on matured epochs, and stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from recommender.domain.experiments.evidence.analysis import conclusion, decided_weights, look
from recommender.domain.experiments.running.config import ExperimentConfig, default_config
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.design import Design

START = datetime(2026, 11, 2, tzinfo=UTC)
CONFIG = replace(default_config(START), holdout_share=0.0)
CONTROL, BETTER = CONFIG.variants[0], CONFIG.variants[1]


def daily_cells(days: int, *, clicks: Mapping[str, int], exposures: int = 8_000) -> list[CellCount]:
    """The same counts every day and placement, spread evenly over the shards: no repeat visits."""
    return [
        CellCount(
            CONFIG.experiment_id, placement, day + 1, "prior", variant, exposures // 8, clicks[variant] // 8, shard
        )
        for placement in CONFIG.placements
        for day in range(days)
        for variant in CONFIG.variants
        for shard in range(8)
    ]


def record_at(
    day: int, cells: list[CellCount], *, config: ExperimentConfig = CONFIG, decided: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The record of the job that runs `day` days after the start."""
    started = {epoch: START + timedelta(days=epoch - 1) for epoch in range(1, day + 1)}
    found = look(config, cells, epoch=day, started=started, now=START + timedelta(days=day))
    return conclusion(config, found, epoch=day, decided=decided)


WINS = {CONTROL: 144, BETTER: 176, CONFIG.variants[2]: 144}  # 1.8 % and 2.2 %
LOSES = {CONTROL: 144, BETTER: 96, CONFIG.variants[2]: 144}
EVEN = dict.fromkeys(CONFIG.variants, 144)


def test_before_the_first_registered_day_nothing_is_decided_however_clear_it_is() -> None:
    record = record_at(7, daily_cells(7, clicks=WINS))

    assert not record["look"]
    assert record["decided"] == {}
    assert record["boundary"] is None


def test_on_the_first_registered_day_a_clear_winner_is_shipped_in_every_placement() -> None:
    record = record_at(8, daily_cells(8, clicks=WINS))

    assert record["look"]
    assert record["decided"] == dict.fromkeys(CONFIG.placements, BETTER)
    assert record["placements"]["home_hero"]["decision"] == {
        "status": "ship",
        "variant": BETTER,
        "day": 8.0,
        "epoch": 8,
    }
    assert record["placements"]["home_hero"]["next_weights"] == pytest.approx([0.02, 0.96, 0.02])
    assert min(record["placements"]["home_hero"]["z"][:1]) > record["boundary"]


def test_a_job_that_runs_twice_a_day_looks_once_a_day() -> None:
    config = replace(CONFIG, design=Design())
    started = {epoch: START + timedelta(hours=12 * (epoch - 1)) for epoch in range(1, 18)}
    cells = [replace(cell, epoch=2 * cell.epoch - 1) for cell in daily_cells(8, clicks=WINS)]

    def looked(epoch: int) -> bool:
        now = START + timedelta(hours=12 * epoch)
        return look(config, cells, epoch=epoch, started=started, now=now).decision is not None

    assert [looked(epoch) for epoch in (15, 16, 17)] == [False, True, False]


def test_clicks_of_an_epoch_that_has_not_matured_decide_nothing() -> None:
    """Day 8 is the last one: its exposures are in, its clicks still come. They must not count against a variant."""
    before = daily_cells(7, clicks=WINS)
    today = [replace(cell, epoch=8, clicks=0) for cell in daily_cells(1, clicks=WINS)]

    decided = record_at(8, before + today)

    assert decided["placements"]["home_hero"]["z"] == record_at(8, before)["placements"]["home_hero"]["z"]


def test_what_was_decided_stays_decided() -> None:
    record = record_at(12, daily_cells(12, clicks=EVEN), decided={"home_hero": BETTER})

    assert record["decided"]["home_hero"] == BETTER
    assert record["placements"]["home_hero"]["next_weights"] == pytest.approx([0.02, 0.96, 0.02])
    assert record["placements"]["home_trending"]["decision"]["status"] == "undecided"


def test_at_the_last_look_what_has_not_won_keeps_the_control() -> None:
    record = record_at(28, daily_cells(28, clicks=EVEN))

    assert record["decided"] == dict.fromkeys(CONFIG.placements, CONTROL)


def test_a_challenger_that_loses_a_third_of_the_clicks_is_taken_off() -> None:
    assert record_at(2, daily_cells(2, clicks=LOSES))["kills"] == [f"{CONFIG.experiment_id}/{BETTER}"]
    assert record_at(2, daily_cells(2, clicks=EVEN))["kills"] == []


def test_a_variant_that_was_killed_is_not_shipped_however_well_it_was_clicked() -> None:
    started = {epoch: START + timedelta(days=epoch - 1) for epoch in range(1, 9)}
    allowed = dict.fromkeys(CONFIG.placements, tuple(name for name in CONFIG.variants if name != BETTER))

    found = look(
        CONFIG,
        daily_cells(8, clicks=WINS),
        epoch=8,
        started=started,
        now=START + timedelta(days=8),
        allowed=allowed,
    )

    record = conclusion(CONFIG, found, epoch=8)
    assert BETTER not in record["decided"].values()
    json.dumps(record, allow_nan=False)


def test_a_design_that_nobody_calibrated_never_ships() -> None:
    odd = replace(CONFIG, design=Design(max_days=21))

    assert record_at(21, daily_cells(21, clicks=WINS), config=odd)["decided"] == dict.fromkeys(
        CONFIG.placements, CONTROL
    )


def test_the_same_counts_give_the_same_bytes_in_any_order() -> None:
    cells = daily_cells(8, clicks=WINS)

    assert json.dumps(record_at(8, cells)) == json.dumps(record_at(8, cells[::-1]))


def test_an_experiment_without_any_event_has_a_record_too() -> None:
    record = record_at(1, [])

    assert record["exposures"] == 0
    assert sum(record["placements"]["home_hero"]["next_weights"]) == pytest.approx(1)
    json.dumps(record, allow_nan=False)


def test_decided_weights_leave_every_other_variant_its_floor() -> None:
    assert decided_weights(CONFIG, CONTROL) == pytest.approx((0.96, 0.02, 0.02))
