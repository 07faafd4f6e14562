"""The history of an experiment: a row an epoch, a row a day once they are many, and nothing invented for a gap."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from recommender.domain.experiments.report.history import (
    SHOWN_ROWS,
    current_weights,
    ended_at,
    epoch_rows,
    history,
)
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, default_config

START = datetime(2026, 11, 2, tzinfo=UTC)
CONFIG = replace(default_config(START), placements=("home_hero", "pdp_similar"), variants=("cohorts", "hybrid"))
NAME = CONFIG.experiment_id


def snapshots(count: int, *, hours: float = 24.0, config: ExperimentConfig = CONFIG) -> list[Snapshot]:
    weights = {NAME: dict.fromkeys(config.placements, (0.5, 0.5))}
    return [
        Snapshot(epoch, (START + timedelta(hours=hours * (epoch - 1))).isoformat(), (config,), weights)
        for epoch in range(1, count + 1)
    ]


def rows(past: list[Snapshot], records: list[dict[str, Any]] | None = None, **changes: Any) -> list[dict[str, Any]]:
    """The history with 10 exposures and 1 click a variant, placement and epoch."""
    counts = np.full((2, len(past), 2), 10)
    return history(
        CONFIG,
        past,
        records or [],
        epochs=[snapshot.epoch for snapshot in past],
        exposures=counts,
        clicks=counts // 10,
        now=changes.get("now", START + timedelta(days=3)),
    )


def test_each_epoch_lasts_until_the_next_and_the_last_one_until_now() -> None:
    found = rows(snapshots(2))

    assert [(row["from_day"], row["day"], row["epoch"]) for row in found] == [(0.0, 1.0, 1), (1.0, 3.0, 2)]
    assert found[0]["placements"]["home_hero"]["exposures"] == [10, 10]
    assert found[0]["placements"]["home_hero"]["weights"] == [0.5, 0.5]


def test_many_epochs_become_days_that_hold_all_their_counts() -> None:
    past = snapshots(SHOWN_ROWS + 24, hours=1.0)

    found = rows(past, now=START + timedelta(hours=SHOWN_ROWS + 24))

    assert [row["day"] for row in found] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [row["placements"]["home_hero"]["clicks"] for row in found] == [[24, 24]] * 5


def test_a_look_is_shown_in_its_row_and_an_epoch_without_one_has_nulls() -> None:
    record = {
        "epoch": 2,
        "look": True,
        "boundary": 2.4,
        "clicks": 10_000,
        "pooled_lifts": [(0.1, 0.05, 0.15)],
        "global": {"z": [3.0]},
        "placements": {"home_hero": {"z": [2.5], "probability_best": [0.1, 0.9]}},
    }

    before, look = rows(snapshots(2), [record])

    assert (before["is_look"], before["boundary"], before["pooled_lifts"]) == (False, None, None)
    assert (look["is_look"], look["boundary"], look["pooled_lifts"]) == (True, 2.4, [[0.1, 0.05, 0.15]])
    assert look["placements"]["home_hero"]["z"] == [2.5]
    assert look["placements"]["pdp_similar"]["z"] is None


def test_a_lift_from_fewer_clicks_than_registered_is_not_shown() -> None:
    least = CONFIG.design.least_clicks * len(CONFIG.variants)
    shown = {
        clicks: rows(snapshots(1), [{"epoch": 1, "clicks": clicks, "pooled_lifts": [(0.1, 0, 0.2)], "placements": {}}])
        for clicks in (least - 1, least)
    }

    assert shown[least - 1][0]["pooled_lifts"] is None
    assert shown[least][0]["pooled_lifts"] == [[0.1, 0.0, 0.2]]


def test_an_experiment_ends_where_its_first_snapshot_without_it_begins() -> None:
    past = snapshots(3)
    gone = replace(past[2], configs=(), weights={})
    now = START + timedelta(days=9)

    assert ended_at(CONFIG, past, now) == now
    assert ended_at(CONFIG, [*past[:2], gone], now) == START + timedelta(days=2)


def test_a_clock_that_runs_ahead_is_believed() -> None:
    past = snapshots(3)

    assert ended_at(CONFIG, past, START) == START + timedelta(days=2)


@pytest.mark.parametrize(
    ("changes", "shares"),
    [
        ({}, (0.25, 0.75)),
        ({"killed": frozenset({f"{NAME}/hybrid"})}, (1.0, 0.0)),
        ({"weights": {}}, (0.0, 0.0)),
    ],
    ids=["in force", "killed", "not in force"],
)
def test_current_weights_are_shares_after_kills(changes: dict[str, Any], shares: tuple[float, ...]) -> None:
    (snapshot,) = snapshots(1)
    drawn = replace(snapshot, weights={NAME: dict.fromkeys(CONFIG.placements, (0.2, 0.6))})

    assert current_weights(CONFIG, replace(drawn, **changes), "home_hero") == pytest.approx(shares)


def test_epochs_are_listed_with_the_weights_they_were_drawn_from() -> None:
    past = snapshots(2)
    counts = np.array([[4, 6], [5, 5]])

    listed = epoch_rows(CONFIG, "home_hero", [1, 2], counts, counts // 2, {one.epoch: one for one in past})

    assert [(row["epoch"], row["exposures"], row["clicks"], row["weights"]) for row in listed] == [
        (1, [4, 6], [2, 3], [0.5, 0.5]),
        (2, [5, 5], [2, 2], [0.5, 0.5]),
    ]
