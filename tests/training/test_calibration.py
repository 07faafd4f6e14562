"""Calibration: probabilities from scores, and the reliability they are judged by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_jobs.session_ranker.calibration import Logistic, fit_logistic, reliability


def test_a_logistic_is_recovered_from_what_it_drew() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=40_000)
    hits = rng.random(40_000) < Logistic(1.5, -2.0)(scores)

    fitted = fit_logistic(scores, hits)

    assert fitted.slope == pytest.approx(1.5, abs=0.08) and fitted.offset == pytest.approx(-2.0, abs=0.08)
    assert reliability(fitted(scores), hits).expected_error < 0.01


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40), st.integers(0, 2**31))
def test_probabilities_keep_the_order_of_the_scores_whatever_happened(scores: list[float], seed: int) -> None:
    values = np.array(scores)
    logistic = fit_logistic(values, np.random.default_rng(seed).random(len(values)) < 0.5)

    ordered = logistic(np.sort(values))
    assert np.isfinite(ordered).all() and (np.diff(ordered) >= 0).all() and ((ordered >= 0) & (ordered <= 1)).all()


def test_reliability_sets_predictions_beside_what_happened_bin_by_bin() -> None:
    p = np.array([0.1] * 10 + [0.6] * 10)
    y = np.array([True] + [False] * 9 + [True] * 8 + [False] * 2)

    found = reliability(p, y, bins=2)

    assert found.predicted == pytest.approx((0.1, 0.6)) and found.observed == pytest.approx((0.1, 0.8))
    assert found.expected_error == pytest.approx((10 * 0.0 + 10 * 0.2) / 20)
    assert found.to_json()["base_rate"] == pytest.approx(9 / 20)


def test_without_items_there_is_no_error() -> None:
    assert reliability(np.empty(0), np.empty(0, bool)).to_json()["ece"] == 0.0
