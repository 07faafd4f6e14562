"""A pause uses up no look, and one bad day neither condemns the days after it nor swallows a look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.experiments.running.design import Design
from recommender.use_cases.manage_experiments import Order, change_experiment
from recommender.use_cases.reallocate_traffic import reallocate_traffic
from recommender.use_cases.report_experiment import report_experiment, start_experiment

from tests.use_cases.experiment_days import CONFIG, START, add, day_of

BOX = replace(CONFIG, design=Design(time_box_days=10))
DAILY = CONFIG


class Course:
    """An experiment day by day; `seen` is the share of a variant's exposures that arrive."""

    def __init__(self, config: ExperimentConfig, *, lift: float, seed: int) -> None:
        self.config, self.lifts, self.seed = config, {"hybrid": lift}, seed
        self.store, self.day = MemoryExperimentStore(), 0
        start_experiment(config, store=self.store, now=START)

    def live(self, days: int, *, seen: float = 1.0) -> None:
        for _ in range(days):
            snapshot = self.store.load_snapshot()
            assert snapshot is not None
            lost = {"hybrid": seen}
            cells = day_of(
                self.config, snapshot, self.lifts, seed=self.seed * 100 + self.day, per_day=17_118, seen=lost
            )
            add(self.store, cells)
            self.day += 1
            reallocate_traffic(at=START + timedelta(days=self.day), store=self.store)

    def change(self, action: str) -> None:
        order = Order(action, self.config.experiment_id, "ada")
        change_experiment(order, store=self.store, now=START + timedelta(days=self.day))

    def wait(self, days: int) -> None:
        for _ in range(days):
            self.day += 1
            reallocate_traffic(at=START + timedelta(days=self.day), store=self.store)

    def report(self) -> dict[str, object]:
        now = START + timedelta(days=self.day)
        return report_experiment(self.config.experiment_id, store=self.store, now=now)

    def decided(self) -> dict[str, str]:
        snapshot = self.store.load_snapshot()
        assert snapshot is not None
        return dict(snapshot.decided.get(self.config.experiment_id, {}))


def test_a_pause_costs_no_days() -> None:
    """Paused on day 5, resumed on day 29: day 30 is the sixth, and no look is due."""
    course = Course(DAILY, lift=0.1, seed=2)
    course.live(5)
    course.change("pause")
    course.wait(24)
    course.change("resume")
    course.live(1)

    report = course.report()

    assert course.decided() == {}
    assert report["days"] == pytest.approx(6)
    assert report["decision"]["next_look_day"] == 8  # type: ignore[index]
    course.live(4)
    assert "hybrid" in course.decided().values()


def test_one_bad_day_does_not_make_the_split_suspect_for_ever() -> None:
    """A fifth of a variant's exposures is lost on day 7; its look falls on the next day that is sound."""
    course = Course(DAILY, lift=0.1, seed=4)
    course.live(7)
    course.live(1, seen=0.8)  # day 8, the first look
    assert course.decided() == {}

    course.live(1)
    report = course.report()

    assert "hybrid" in course.decided().values()
    assert report["withheld"] is False
    assert report["split_check"]["left_out_days"] == ["2026-11-09"]  # type: ignore[index]
    assert any("left out of whatever decides" in sentence for sentence in report["may_not_claim"])  # type: ignore[attr-defined]


def test_a_look_that_fell_on_a_bad_day_moves_to_the_next_sound_one() -> None:
    """A time box has a single look; without moving it, the box would never be decided."""
    course = Course(BOX, lift=0.1, seed=4)
    course.live(9)
    course.live(1, seen=0.8)
    assert course.decided() == {}

    course.live(1)

    assert course.decided().keys() == set(BOX.placements)
    assert "hybrid" in course.decided().values()


def test_a_split_that_stays_off_stays_suspect() -> None:
    course = Course(DAILY, lift=0.1, seed=5)
    course.live(9, seen=0.8)

    assert course.report()["withheld"] is True
    assert course.decided() == {}


def test_nothing_shown_is_no_lift() -> None:
    report = Course(DAILY, lift=0.1, seed=6).report()

    rows = [*report["pooled"]["variants"], *(row for entry in report["placements"] for row in entry["variants"])]  # type: ignore[index,attr-defined]
    assert {row[f"lift_{end}"] for row in rows for end in ("median", "low", "high")} == {None}
    assert report["so_far"] == []
