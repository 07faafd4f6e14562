"""An experiment that runs, and one that was decided, for tests of the life cycle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recommender.domain.experiments.evidence import shipping
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.lifecycle import start

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
DRAFT = ExperimentConfig("exp_a", 1, ("home_hero", "pdp_similar"), ("cohorts", "hybrid"), "s", status="draft")


def running(config: ExperimentConfig = DRAFT, snapshot: Snapshot | None = None) -> tuple[ExperimentConfig, Snapshot]:
    step = start(config, snapshot, NOW)
    assert step.config is not None
    assert step.snapshot is not None
    return step.config, step.snapshot


def decided(choices: dict[str, str], snapshot: Snapshot | None = None) -> tuple[ExperimentConfig, Snapshot]:
    config, current = running(snapshot=snapshot)
    step = shipping.decide(config, current, NOW, choices)
    assert step.snapshot is not None
    return step.config or config, step.snapshot
