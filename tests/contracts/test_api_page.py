"""The page about the API names every route, reason, degradation and field that the code knows."""

from __future__ import annotations

from pathlib import Path

from recommender.contracts.answers import PageAnswer
from recommender.contracts.placements import HIDDEN_REASONS
from recommender.contracts.routes import KEY_HEADER, ROUTES
from recommender.domain.serving.reasons import ALL_CODES
from recommender.use_cases.recommend import DEGRADATIONS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()


def test_every_route_is_in_the_table() -> None:
    for route in ROUTES:
        path = route.path.replace("{probe}", "live")
        assert f"`{route.method} {path}" in PAGE, route


def test_every_reason_and_every_degradation_is_explained() -> None:
    for code in (*ALL_CODES, *DEGRADATIONS, *HIDDEN_REASONS.values(), KEY_HEADER):
        assert f"`{code}`" in PAGE, code


def test_the_example_shows_every_field_of_an_answer() -> None:
    for name in PageAnswer.__dataclass_fields__:
        assert f'"{name}"' in PAGE or f"`{name}`" in PAGE, name
