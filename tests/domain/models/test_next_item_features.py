"""The features of the next-item network: a visit is described by its clicks, sources by share and rank."""

from __future__ import annotations

import numpy as np
import pytest
from recommender.domain.models.next_item_features import NEVER

from tests.domain.models.networks import described


def test_candidates_are_what_sources_list_and_what_the_visit_has() -> None:
    assert set(described([9, 2, -1, 9])["mixed"]) == {5, 3, 7, 1, 9, 2}


def test_the_visit_is_described_by_its_clicks() -> None:
    found = described([9, 2, 9, 6])  # the newest last

    assert found["clicks"][9] == pytest.approx(np.log1p(2))
    assert found["click_share"][9] == pytest.approx(2 / 4)
    assert found["since_last_click"][9] == pytest.approx(np.log1p(1))
    assert found["since_first_click"][9] == pytest.approx(np.log1p(3))
    assert found["between_clicks"][9] == pytest.approx(np.log1p(2))
    assert found["recency_rank"] == pytest.approx(
        {9: np.log1p(1), 2: np.log1p(2), 6: 0.0} | dict.fromkeys((1, 3, 5, 7), np.log1p(NEVER))
    )
    assert found["click_rank"][9] == 0.0  # the most clicked
    assert (found["is_last"][6], found["is_first"][9], found["in_visit"][3]) == (1.0, 1.0, 0.0)
    assert found["visit_distinct"][3] == pytest.approx(3 / 4)
    assert found["visit_since_repeat"][3] == pytest.approx(np.log1p(1))


def test_what_followed_the_last_item_earlier_is_told() -> None:
    found = described([9, 2, 9, 4, 9])

    assert (found["followed_last"][2], found["followed_last"][4], found["followed_last"][9]) == (1.0, 1.0, 0.0)


def test_sources_are_described_by_share_and_rank() -> None:
    found = described([9])

    assert found["sessions_share"][7] == pytest.approx(np.log(2 / 8), abs=1e-4)
    assert found["sessions_rank"][7] == pytest.approx(np.log1p(1))
    assert found["sessions_listed"][9] == 0.0
    assert found["encoder_gap"][5] == 0.0  # the session vector is the vector of item 5
    assert found["encoder_best"][3] == pytest.approx(1.0)
