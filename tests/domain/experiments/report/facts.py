"""Facts of an experiment over five placements, for tests of its sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from recommender.domain.experiments.evidence.checks import SplitCheck
from recommender.domain.experiments.evidence.standing import Standing
from recommender.domain.experiments.report.findings import Findings
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.design import Design

NAMES = ("home_hero", "home_trending", "category_top", "cart_cross_sell", "order_next")
CONFIG = replace(default_config(datetime(2026, 11, 2, tzinfo=UTC)), placements=NAMES)
FAIR = SplitCheck(4.0, 4, 0.4, np.ones((5, 3)))
OFF = SplitCheck(90.0, 4, 1e-18, np.ones((5, 3)), 1e-18)
OPEN = tuple(Standing(name) for name in NAMES)
WON = Standing("home_hero", "ship", "hybrid", 9.0, 9, 3.1, 2.6, (0.098, 0.051, 0.147), 0.0004)
KEPT = Standing("order_next", "keep_control", "cohorts", 16.0, 16, expected_loss=0.001)
BY_HAND = Standing("category_top", "ship", "hybrid_margin", by="operator")
FOUND = Findings(
    config=CONFIG,
    exposures=120_000,
    clicks=2_160,
    days=9.0,
    lifts=[(0.08, 0.02, 0.14), (0.01, -0.05, 0.07)],
    present_lifts=[(0.1, 0.05, 0.15), (0.0, -0.05, 0.05)],
    standings=OPEN,
    probability_of_spread=0.2,
    split=FAIR,
    visible_lift=0.062,
    next_look_day=10,
)


def stands(*standings: Standing) -> Findings:
    """The facts with these placements decided and the others open."""
    decided = {standing.placement: standing for standing in standings}
    return replace(FOUND, standings=tuple(decided.get(name, Standing(name)) for name in NAMES))


def designed(found: Findings, **changes: object) -> Findings:
    return replace(found, config=replace(CONFIG, design=replace(Design(), **changes)))  # type: ignore[arg-type]


def says(sentences: list[str], words: str) -> bool:
    return any(words in sentence for sentence in sentences)
