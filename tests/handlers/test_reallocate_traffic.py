"""The edge of reallocate_traffic: EventBridge Scheduler's event in, the epoch out; a retry opens nothing new."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.config import default_config
from recommender.errors import InvalidInput
from recommender.use_cases.reallocate_traffic import JOB, LEASE_SECONDS
from recommender.use_cases.start_experiment import start_experiment

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
