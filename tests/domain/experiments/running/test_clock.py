"""A pause costs no days: the clock of an experiment stands still while the control serves everybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.experiments.running.clock import Clock, clock_of
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, first_snapshot

START = datetime(2026, 11, 2, tzinfo=UTC)
CONFIG = ExperimentConfig("exp_a", 1, ("home_hero",), ("cohorts", "hybrid"), "a")


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def course(*begins: tuple[float, str]) -> list[Snapshot]:
    """Epochs that began on these days, with the status of the experiment in each."""
    base = first_snapshot(CONFIG, START)
    return [
        replace(base, epoch=n + 1, created_at=day(begin).isoformat(), configs=(replace(CONFIG, status=status),))
        for n, (begin, status) in enumerate(begins)
    ]


def test_without_a_pause_it_is_the_calendar() -> None:
    clock = clock_of(CONFIG, course((0, "running"), (1, "running")))

    assert [clock(day(n)) for n in (-1, 0, 0.5, 1, 9)] == [day(n) for n in (-1, 0, 0.5, 1, 9)]


def test_paused_on_day_5_and_resumed_on_day_29_the_next_day_is_the_sixth() -> None:
    clock = clock_of(CONFIG, course((0, "running"), (5, "paused"), (29, "running")))

    assert [clock(day(n)) for n in (4, 5, 17, 29, 30)] == [day(n) for n in (4, 5, 5, 5, 6)]


def test_several_pauses_add_up_and_a_kill_by_flag_is_one() -> None:
    snapshots = course((0, "running"), (2, "paused"), (3, "running"), (6, "running"), (8, "running"))
    snapshots[3] = replace(snapshots[3], killed=frozenset({"exp_a"}))
    clock = clock_of(CONFIG, snapshots)

    assert [clock(day(n)) for n in (3, 6, 7, 8, 10)] == [day(n) for n in (2, 5, 5, 5, 7)]


def test_an_experiment_whose_placements_or_challengers_were_all_killed_one_by_one_stands_still() -> None:
    wide = replace(CONFIG, placements=("home_hero", "pdp_similar"), variants=("cohorts", "hybrid", "hybrid_margin"))
    running = [replace(snapshot, configs=(wide,)) for snapshot in course((0, "running"), (2, "running"))]

    def day_three(*killed: str) -> datetime:
        flags = frozenset(f"exp_a/{part}" for part in killed)
        return clock_of(wide, [running[0], replace(running[1], killed=flags)])(day(3))

    assert day_three("home_hero") == day_three("hybrid") == day(3)  # one placement, one challenger is left
    assert day_three("home_hero", "pdp_similar") == day_three("hybrid", "hybrid_margin") == day(2)


@given(
    st.lists(st.tuples(st.floats(0.1, 5), st.booleans()), min_size=1, max_size=8), st.floats(0, 30), st.floats(0, 30)
)
def test_it_never_runs_backwards_and_never_faster_than_the_calendar(
    epochs: list[tuple[float, bool]], one: float, other: float
) -> None:
    begins, at = [], 0.0
    for length, is_paused in epochs:
        begins.append((at, "paused" if is_paused else "running"))
        at += length
    clock, (first, second) = clock_of(CONFIG, course(*begins)), sorted((one, other))

    assert timedelta(0) <= clock(day(second)) - clock(day(first)) <= day(second) - day(first)


def test_an_empty_clock_is_the_calendar() -> None:
    assert Clock()(day(3)) == day(3)
