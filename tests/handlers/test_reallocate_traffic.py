"""The edge of reallocate_traffic: EventBridge Scheduler's event in, the epoch out; a retry opens nothing new."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.artifacts import CURRENT, Pointer
from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.design import Design
from recommender.errors import InvalidInput
from recommender.pointers import pointed
from recommender.ports import StreamPosition
from recommender.use_cases.reallocate_traffic import JOB, LEASE_SECONDS
from recommender.use_cases.report_experiment import start_experiment

from tests.adapters.bundle_files import publish_tiny
from tests.fakes.sources import MemoryArtifacts
from tests.handlers.deployed import deployed

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def scheduled(moment: object) -> dict[str, Any]:
    return {"id": "1", "time": moment, "detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}


def test_one_schedule_event_opens_one_epoch_however_often_it_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryExperimentStore()
    start_experiment(default_config(NOW), store=store, now=NOW)
    handler = deployed("reallocate_traffic", monkeypatch).create_handler(store)

    answers = [handler(scheduled("2026-11-24T00:00:00Z"), None) for _ in range(2)]

    assert answers == [{"epoch": 2, "opened": True}, {"epoch": 2, "opened": False}]


def test_while_another_invocation_works_nothing_is_done_but_its_own_retry_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryExperimentStore()
    start_experiment(default_config(NOW), store=store, now=NOW)
    store.take_lease(JOB, "request-1", now=NOW, seconds=LEASE_SECONDS)
    handler = deployed("reallocate_traffic", monkeypatch).create_handler(store, clock=lambda: NOW.timestamp() + 1)
    event = scheduled("2026-11-24T00:00:00Z")

    answers = [handler(event, SimpleNamespace(aws_request_id=f"request-{n}")) for n in (2, 1, 3)]

    assert answers == [{"epoch": 1, "opened": False}, {"epoch": 2, "opened": True}, {"epoch": 2, "opened": False}]


def test_before_any_experiment_the_schedule_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = deployed("reallocate_traffic", monkeypatch).create_handler(MemoryExperimentStore())

    assert handler(scheduled("2026-11-24T00:00:00Z"), None) == {"epoch": 0, "opened": False}


def test_an_event_without_a_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = deployed("reallocate_traffic", monkeypatch).create_handler(MemoryExperimentStore())

    with pytest.raises(InvalidInput) as refusal:
        handler(scheduled(None), None)

    assert refusal.value.problems[0].pointer == "/time"


def test_a_canary_whose_day_has_come_is_promoted_behind_the_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    artifacts, store = MemoryArtifacts(), MemoryExperimentStore()
    bundle_id = publish_tiny(artifacts, tmp_path)
    artifacts.write(CURRENT, Pointer("20261101T000000Z-0123456789ab").to_json())
    design = Design(rule="optimise", time_box_days=1)
    canary = replace(
        default_config(NOW), mode="canary", variants=("hybrid", "canary"), bundle_id=bundle_id, design=design
    )
    snapshot = start_experiment(canary, store=store, now=NOW)
    half = {canary.experiment_id: dict.fromkeys(canary.placements, (0.5, 0.5))}
    store.swap_snapshot(replace(snapshot, epoch=2, weights=half))
    cells = [
        CellCount(canary.experiment_id, placement, 2, "session", variant, 5000, 90, shard)
        for placement in canary.placements
        for variant in canary.variants
        for shard in range(8)
    ]
    store.add_counts(cells, consumer="c", shard_id="s", after=StreamPosition(), upto=StreamPosition("1"))
    handler = deployed("reallocate_traffic", monkeypatch).create_handler(store, artifacts)

    answer = handler(scheduled("2026-11-24T00:00:00Z"), None)

    assert answer == {"epoch": 3, "opened": True}
    assert pointed(artifacts, CURRENT) == bundle_id
    config = store.load_config(canary.experiment_id)
    assert config is not None and config.status == "promoted"
