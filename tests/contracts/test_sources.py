"""A source has one name: candidates, strengths, reasons and placements use that of the contract."""

from __future__ import annotations

from recommender.contracts.placements import DEFAULT, PROPOSERS, SOURCES
from recommender.domain.serving.candidates import SHARES
from recommender.domain.serving.reasons import CODES
from recommender.domain.serving.selection import CATEGORY_SOURCES

SERVING = "layers/recommender/python/recommender/domain/serving"
PLACEMENTS = "layers/recommender/python/recommender/contracts/placements.py"


def test_every_proposer_has_its_share_of_the_candidates() -> None:
    assert set(SHARES) == set(PROPOSERS), f"make SHARES of {SERVING}/candidates.py and PROPOSERS of {PLACEMENTS} agree"


def test_every_source_gives_a_reason() -> None:
    assert set(CODES) == set(SOURCES), f"make CODES of {SERVING}/reasons.py and SOURCES of {PLACEMENTS} agree"


def test_placements_lean_on_known_sources() -> None:
    for placement in DEFAULT:
        assert set(placement.sources) <= set(SOURCES), f"{placement.placement_id} in {PLACEMENTS}"
    assert set(SOURCES) >= CATEGORY_SOURCES
