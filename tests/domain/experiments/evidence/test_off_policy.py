"""Off-policy estimators are exact where they can be, unbiased where they promise it, and refuse where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.domain.experiments.evidence import off_policy as reward_model
from recommender.domain.experiments.evidence.off_policy import (
    METHODS,
    Fitted,
    RewardLog,
    cross_fitted,
    evaluate,
    refusal,
    weights,
)
from recommender.domain.models.arrays import Doubles
from recommender.errors import InvalidInput

QUALITY = np.array([0.02, 0.05, 0.10, 0.30])  # chance of a click on each action
LOGGING = np.array([0.4, 0.3, 0.2, 0.1])
TARGET = np.array([0.1, 0.2, 0.3, 0.4])


def logged(rows: int, seed: int) -> tuple[np.ndarray, Doubles]:
    """Actions drawn by LOGGING, and their clicks."""
    rng = np.random.default_rng(seed)
    actions = rng.choice(4, size=rows, p=LOGGING)
    return actions, (rng.random(rows) < QUALITY[actions]).astype(np.float64)


def exact(actions: np.ndarray, target: Doubles = TARGET) -> Fitted:
    """A reward model that knows the truth."""
    rows = len(actions)
    return Fitted(QUALITY[actions], np.full(rows, QUALITY @ target), np.zeros(rows))


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_a_policy_judged_on_its_own_log_is_worth_what_it_earned(seed: int, rows: int) -> None:
    actions, clicks = logged(rows, seed)
    own = Fitted(clicks, clicks, np.zeros(rows))  # the best model of a log is the log

    weight = weights(LOGGING[actions], LOGGING[actions])
    found = evaluate(clicks, weight, rng=np.random.default_rng(seed), fitted=own, resamples=20)

    assert {name: estimate.value for name, estimate in found.estimates.items()} == pytest.approx(
        dict.fromkeys(METHODS, clicks.mean())
    )
    assert found.effective_sample_size == pytest.approx(rows) and found.max_weight == 1.0


def test_weighting_is_right_on_average_over_many_logs() -> None:
    truth = QUALITY @ TARGET  # 0.1 * 0.02 + 0.2 * 0.05 + 0.3 * 0.1 + 0.4 * 0.3 = 0.162
    values = []
    for seed in range(400):
        actions, clicks = logged(500, seed)
        values.append(float((weights(TARGET[actions], LOGGING[actions]) * clicks).mean()))

    assert truth == pytest.approx(0.162)
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / 400**0.5


def test_the_doubly_robust_estimate_is_exact_when_the_model_is_and_clicks_do_not_vary() -> None:
    actions, _ = logged(400, seed=3)
    rewards = QUALITY[actions]  # every action earns exactly its mean

    weight = weights(TARGET[actions], LOGGING[actions])
    found = evaluate(rewards, weight, rng=np.random.default_rng(0), fitted=exact(actions))

    assert found.estimates["dr"].value == pytest.approx(0.162)
    assert found.estimates["dr"].low == pytest.approx(0.162) and found.estimates["dr"].high == pytest.approx(0.162)
    assert abs(found.estimates["ips"].value - 0.162) > 0.001  # weighting alone still swings with who was drawn


def test_the_doubly_robust_estimate_forgives_a_model_that_knows_nothing() -> None:
    actions, clicks = logged(40_000, seed=5)
    ignorant = Fitted(np.full(40_000, 0.5), np.full(40_000, 0.5), np.zeros(40_000))

    found = evaluate(
        clicks, weights(TARGET[actions], LOGGING[actions]), rng=np.random.default_rng(0), fitted=ignorant
    ).estimates

    assert found["dm"].value == 0.5
    assert found["dr"].low < 0.162 < found["dr"].high and found["dr"].high - found["dr"].low < 0.03


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    missed = dict.fromkeys(METHODS, 0)
    for seed in range(1000, 1120):
        actions, clicks = logged(1500, seed)
        log = RewardLog(np.zeros((1500, 0)), actions, clicks, np.tile(TARGET, (1500, 1)))
        rng = np.random.default_rng(seed)
        weight = weights(TARGET[actions], LOGGING[actions])
        found = evaluate(clicks, weight, rng=rng, fitted=cross_fitted(log, rng=rng), resamples=300)
        for name, estimate in found.estimates.items():
            missed[name] += not estimate.low <= 0.162 <= estimate.high

    # 5 % of 120 is 6; 14 or more would happen once in five hundred times.
    assert max(missed["ips"], missed["snips"], missed["dr"]) < 14
    assert missed["dm"] > 14  # its interval tells its spread, not that shrinking four very different actions is wrong


def test_rows_of_one_visitor_widen_the_interval() -> None:
    actions, clicks = logged(300, seed=1)
    weight = np.repeat(weights(TARGET[actions], LOGGING[actions]), 20)
    units = np.repeat(np.arange(300), 20)  # everybody looked twenty times and always did the same

    def width(units: np.ndarray | None) -> float:
        found = evaluate(np.repeat(clicks, 20), weight, rng=np.random.default_rng(2), units=units).estimates["ips"]
        return found.high - found.low

    assert width(units) / width(None) == pytest.approx(20**0.5, rel=0.15)


@given(
    weight=st.lists(st.floats(0.0, 5000.0), min_size=1, max_size=300).map(np.array),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_too_little_overlap_is_refused_and_still_shown(weight: Doubles, seed: int) -> None:
    found = evaluate(np.ones(len(weight)), weight, rng=np.random.default_rng(seed), resamples=5)

    assert 0.0 <= found.effective_sample_size <= len(weight) + 1e-6
    assert found.refused == (found.effective_sample_size < 100 or weight.max() > 1000)
    assert set(found.estimates) == {"ips", "snips"}
    if found.refused:
        assert found.refusal is not None and found.refusal.startswith("Refused: ")


def test_a_refusal_names_what_is_missing() -> None:
    assert refusal(100.0, 1000.0) is None
    assert refusal(2.1, 21_739.0) == (
        "Refused: the log is worth 2 rows of the target policy (at least 100 are needed) and one row weighs "
        "21,739 rows (at most 1,000 are taken); log more of what the target would show before asking again."
    )


def test_a_target_that_the_log_never_shows_is_no_number_and_refused() -> None:
    found = evaluate(np.ones(500), np.zeros(500), rng=np.random.default_rng(0))

    assert found.refused and found.effective_sample_size == 0.0
    assert np.isnan(found.estimates["snips"].value) and found.estimates["ips"].value == 0.0


@pytest.mark.parametrize(
    ("target", "propensities", "named"),
    [
        ([0.5], [0.0], "/propensities is 0.0"),
        ([0.5], [1.5], "/propensities is 1.5"),
        ([-0.1], [0.5], "/target is -0.1"),
        ([], [], "/propensities is 'no rows'"),
        ([0.5, 0.5], [0.5], "/target"),
        ([float("nan")], [0.5], "/target is nan"),
    ],
)
def test_chances_that_are_none_are_refused_by_name(target: list[float], propensities: list[float], named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        weights(np.array(target), np.array(propensities))

    assert named in refused.value.detail


def test_the_reward_model_finds_what_actions_and_contexts_are_worth() -> None:
    rng = np.random.default_rng(8)
    actions = rng.integers(0, 4, 60_000)
    evening = rng.integers(0, 2, 60_000).astype(np.float64)
    odds = QUALITY[actions] / (1 - QUALITY[actions]) * np.where(evening == 1, 1.5, 1.0)
    clicks = (rng.random(60_000) < odds / (1 + odds)).astype(np.float64)
    log = RewardLog(evening[:, None], actions, clicks, np.tile(np.eye(4)[3], (60_000, 1)))

    found = cross_fitted(log, rng=rng)

    assert found.target[evening == 0].mean() == pytest.approx(0.30, abs=0.02)
    assert found.target[evening == 1].mean() == pytest.approx(1.5 * 0.3 / 0.7 / (1 + 1.5 * 0.3 / 0.7), abs=0.02)
    assert np.allclose(found.logged[actions == 3], found.target[actions == 3])


def test_no_row_is_answered_by_a_model_that_saw_its_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    units = np.repeat(np.arange(9), 10)
    log = RewardLog(np.zeros((90, 0)), np.zeros(90, np.int64), (units == 4).astype(np.float64), np.ones((90, 1)))
    trained: list[int] = []
    fit = reward_model.fit

    def counted(design: Doubles, rewards: Doubles, *, free: int) -> tuple[Doubles, Doubles]:
        trained.append(len(rewards))
        return fit(design, rewards, free=free)

    monkeypatch.setattr(reward_model, "fit", counted)

    found = cross_fitted(log, rng=np.random.default_rng(0), units=units)

    assert trained == [60, 60, 60]
    assert found.logged[units == 4].max() < 0.01  # the only visitor who clicks is judged by the other eight


def test_a_reward_log_that_does_not_fit_together_is_refused() -> None:
    with pytest.raises(InvalidInput, match="rewards from 0 to 1"):
        RewardLog(np.zeros((1, 0)), np.zeros(1, np.int64), np.array([2.0]), np.ones((1, 1)))
    with pytest.raises(InvalidInput, match="/context"):
        RewardLog(np.zeros((2, 0)), np.zeros(1, np.int64), np.array([1.0]), np.ones((1, 1)))
