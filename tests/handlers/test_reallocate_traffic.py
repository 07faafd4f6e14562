"""The edge of reallocate_traffic: EventBridge Scheduler's event in, the epoch out; a retry opens nothing new."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.domain.experiments.config import default_config
from recommender.errors import InvalidInput
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


def test_before_any_experiment_the_schedule_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = deployed("reallocate_traffic", monkeypatch).create_handler(MemoryExperimentStore())

    assert handler(scheduled("2026-11-24T00:00:00Z"), None) == {"epoch": 0, "opened": False}


def test_an_event_without_a_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = deployed("reallocate_traffic", monkeypatch).create_handler(MemoryExperimentStore())

    with pytest.raises(InvalidInput) as refusal:
        handler(scheduled(None), None)

    assert refusal.value.problems[0].pointer == "/time"
