"""Assignment: sticky, in proportion to the weights, independent between placements, and frugal with moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.experiments.running.assignment import Assignment, assign, choose, is_held_out
from recommender.domain.experiments.running.config import NO_EXPERIMENTS, Snapshot, default_config, first_snapshot
from scipy import stats

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONFIG = default_config(NOW)
UNITS = [f"v_{n}" for n in range(20_000)]


def snapshot(*weights: float, **changes: object) -> Snapshot:
    first = first_snapshot(replace(CONFIG, holdout_share=0.0), NOW)
    by_placement = dict.fromkeys(CONFIG.placements, weights)
    return replace(first, weights={CONFIG.experiment_id: by_placement}, **changes)  # type: ignore[arg-type]


def test_golden_vectors_hold_on_every_host() -> None:
    weights = (0.2, 0.5, 0.3)

    chosen = [choose("exp:1:cart_cross_sell", f"v_{n}", weights) for n in range(24)]

    assert chosen == [2, 1, 2, 1, 2, 1, 0, 1, 0, 2, 1, 1, 2, 1, 0, 2, 0, 1, 1, 1, 2, 1, 1, 1]


@given(unit=st.text(min_size=1), placement=st.sampled_from(CONFIG.placements))
def test_the_same_unit_and_snapshot_give_the_same_variant_and_the_weight_as_propensity(
    unit: str, placement: str
) -> None:
    current = snapshot(0.2, 0.5, 0.3)

    once, again = assign(current, unit, placement), assign(current, unit, placement)

    assert once == again
    assert once.propensity == (0.2, 0.5, 0.3)[CONFIG.variants.index(once.variant)]


@given(weights=st.lists(st.floats(0.02, 1), min_size=2, max_size=8), salt=st.integers(0, 1000))
@settings(max_examples=10, deadline=None, derandomize=True)  # chance alone fails one run in 250
def test_shares_are_within_four_standard_errors_of_the_weights(weights: list[float], salt: int) -> None:
    chosen = np.bincount([choose(f"salt {salt}", unit, weights) for unit in UNITS], minlength=len(weights))
    share = np.array(weights) / sum(weights)

    assert np.all(np.abs(chosen / len(UNITS) - share) <= 4 * np.sqrt(share * (1 - share) / len(UNITS)))


@given(
    weights=st.lists(st.floats(0.02, 1), min_size=2, max_size=8),
    raised=st.integers(0, 7),
    factor=st.floats(1, 20),
    unit=st.text(min_size=1),
)
def test_raising_one_weight_moves_units_only_into_it(
    weights: list[float], raised: int, factor: float, unit: str
) -> None:
    k = raised % len(weights)
    heavier = [weight * factor if n == k else weight for n, weight in enumerate(weights)]

    before, after = choose("salt", unit, weights), choose("salt", unit, heavier)

    assert after in (before, k)


def test_a_month_of_reweighting_moves_at_most_a_quarter_more_units_than_it_must() -> None:
    rng = np.random.default_rng(7)
    weights = np.full(4, 0.25)
    moved, needed = 0.0, 0.0

    for _ in range(28):
        new = np.maximum(weights * np.exp(rng.normal(0, 0.35, 4)), 0.02)
        new /= new.sum()
        pairs = [(choose("s", unit, weights.tolist()), choose("s", unit, new.tolist())) for unit in UNITS[:2000]]
        moved += sum(before != after for before, after in pairs) / 2000
        needed += np.abs(new - weights).sum() / 2
        weights = new

    assert moved <= 1.25 * needed


def test_placements_are_assigned_independently() -> None:
    current = snapshot(0.2, 0.5, 0.3)
    drawn = {
        placement: [CONFIG.variants.index(assign(current, unit, placement).variant) for unit in UNITS[:6000]]
        for placement in CONFIG.placements[:4]
    }

    for one, other in pairwise(drawn):
        table = np.zeros((3, 3))
        np.add.at(table, (drawn[one], drawn[other]), 1)
        assert stats.chi2_contingency(table).pvalue > 0.001


def test_the_hold_out_is_the_same_share_of_units_in_every_experiment_and_sees_the_control() -> None:
    other = replace(CONFIG, experiment_id="exp_other", salt="another")
    held = [unit for unit in UNITS if is_held_out(CONFIG, unit)]

    assert held == [unit for unit in UNITS if is_held_out(other, unit)]
    assert abs(len(held) / len(UNITS) - 0.05) < 4 * (0.05 * 0.95 / len(UNITS)) ** 0.5
    assert assign(first_snapshot(CONFIG, NOW), held[0], "home_hero") == Assignment(
        CONFIG.experiment_id, 1, 1, "cohorts", 1.0, is_holdout=True
    )


def test_a_killed_variant_is_never_assigned_and_the_others_keep_their_units() -> None:
    current = snapshot(0.2, 0.5, 0.3)
    killed = replace(current, killed=frozenset({"exp_default/hybrid"}))

    for unit in UNITS[:500]:
        before, after = assign(current, unit, "home_hero"), assign(killed, unit, "home_hero")
        assert after.variant != "hybrid"
        assert before.variant in ("hybrid", after.variant)
        assert after.propensity in (0.2 / 0.5, 0.3 / 0.5)


def test_a_killed_experiment_or_placement_serves_the_control_to_everyone() -> None:
    whole = snapshot(0.2, 0.5, 0.3, killed=frozenset({"exp_default"}))
    one = snapshot(0.2, 0.5, 0.3, killed=frozenset({"exp_default/home_hero"}))

    assert {assign(whole, unit, "cart_cross_sell").variant for unit in UNITS[:200]} == {"cohorts"}
    assert {assign(one, unit, "home_hero").variant for unit in UNITS[:200]} == {"cohorts"}
    assert len({assign(one, unit, "cart_cross_sell").variant for unit in UNITS[:200]}) == 3


def test_a_paused_experiment_serves_the_control_and_a_draft_serves_no_one() -> None:
    paused = first_snapshot(replace(CONFIG, status="paused"), NOW)
    draft = first_snapshot(replace(CONFIG, status="draft"), NOW)

    assert {assign(paused, unit, "home_hero").variant for unit in UNITS[:200]} == {"cohorts"}
    assert assign(draft, "v_1", "home_hero").experiment_id == ""


def test_without_an_experiment_the_hybrid_serves_and_without_a_snapshot_the_incumbent() -> None:
    assert assign(NO_EXPERIMENTS, "v_1", "home_hero") == Assignment("", 0, 0, "hybrid", 1.0)
    assert assign(None, "v_1", "home_hero") == Assignment("", 0, 0, "cohorts", 1.0)


def test_the_mean_of_inverse_propensities_is_one_for_every_variant() -> None:
    current = snapshot(0.2, 0.5, 0.3)
    drawn = [assign(current, unit, "home_hero") for unit in UNITS]

    for variant, weight in zip(CONFIG.variants, (0.2, 0.5, 0.3), strict=True):
        mean = sum(1 / one.propensity for one in drawn if one.variant == variant) / len(drawn)
        assert abs(mean - 1) < 4 * ((1 / weight - 1) / len(drawn)) ** 0.5
