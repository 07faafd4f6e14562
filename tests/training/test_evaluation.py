"""The evaluation from models to its report, on a shop of five items: every section has its figures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.training.shop import START, shop
from tests.training.test_poor_data import CONTENT_ROWS, _models
from training_jobs.evaluate.evaluation import Settings, evaluate
from training_jobs.evaluate.plots import strata_of
from training_jobs.evaluate.report import render

SETTINGS = Settings(holdout_days=41, shoppers=10, visits=5, candidates=50)  # from day 30 on


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    def ranker(feed: Any) -> Any:
        return {"score": 1.0 / (1.0 + np.exp(-feed["features"][:, 0]))}  # what is owned comes first

    return evaluate(shop(), _models(), ranker, CONTENT_ROWS, SETTINGS)


def test_each_stratum_has_the_methods_that_answer_it(found: dict[str, Any]) -> None:
    assert {"all", "new", "cold_items", "cold_items_full", "cold_shoppers"} <= set(strata_of(found["methods"]))
    assert {name for name, strata in found["methods"].items() if "cold_items" in strata} == {
        "hybrid",
        "content",
        "two_tower",
        "popularity_in_category",
    }
    assert found["window"]["train_until"] == (START + timedelta(days=30)).isoformat()
    assert found["calibration"]["purchase"]["ece"] < 1.0


def test_the_report_shows_what_was_measured(found: dict[str, Any]) -> None:
    page = render(found, {})

    assert "New arrivals" in page and "Popularity of the category" in page
