"""POST /v1/events over its HTTP edge."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from recommender.adapters.http import Handler, key_digest
from recommender.adapters.memory.sources import MemorySessions
from recommender.contracts.events import to_accepted_record
from recommender.domain.serving.attribution import Claims, issue
from recommender.use_cases.collect_events import collect_events

from tests.handlers.deployed import ENVIRONMENT, KEY, deployed
from tests.handlers.lambda_events import answer_of, happening_now, lambda_event, with_body, with_headers


@pytest.fixture
def sessions() -> MemorySessions:
    return MemorySessions()


@pytest.fixture
def handler(sessions: MemorySessions, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Handler:
    module = deployed("collect_events", monkeypatch)
    collect = partial(collect_events, sessions=sessions, secret=b"a secret of the tests")
    created: Handler = module.create_handler(collect, key_digests=key_digest(KEY))
    return created


def test_a_ga4_batch_is_accepted_once(handler: Handler, sessions: MemorySessions) -> None:
    event = happening_now(lambda_event("post_events"))

    first, again = answer_of(handler(event, None)), answer_of(handler(event, None))

    assert first == (202, {"accepted": 3, "duplicates": 0, "rejected": []})
    assert again == (202, {"accepted": 0, "duplicates": 3, "rejected": []})
    assert sessions.load("s_31", now=datetime.now(UTC)).session.bought == ("SKU_881",)


def test_a_batch_without_fault_is_a_value_as_well_so_that_a_share_can_be_seen(
    handler: Handler, capsys: pytest.CaptureFixture[str]
) -> None:
    handler(happening_now(lambda_event("post_events")), None)

    assert '"EventsRejected":[0.0]' in capsys.readouterr().out.replace(" ", "")


def test_what_is_wrong_with_an_event_is_said_and_the_others_are_kept(
    handler: Handler, capsys: pytest.CaptureFixture[str]
) -> None:
    good = happening_now(lambda_event("post_events"))
    bad: dict[str, Any] = {"event_id": "e1", "event_name": "click", "event_time": "2026-11-23T02:50:00Z"}

    status, body = answer_of(handler(with_body(good, events=[bad, bad | {"event_name": "search"}]), None))

    assert (status, body["accepted"]) == (202, 1)
    assert [(wrong["index"], wrong["code"], wrong["pointer"]) for wrong in body["rejected"]] == [
        (0, "unknown_event", "/events/0/event_name")
    ]
    assert '"EventsRejected":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_what_of_an_accepted_event_does_not_count_is_told_and_counted(
    sessions: MemorySessions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, module = b"a secret of the tests", deployed("collect_events", monkeypatch)
    collect = partial(collect_events, sessions=sessions, secret=secret)
    handler = module.create_handler(collect, key_digests=key_digest(KEY))
    now = datetime.now(UTC)
    claims = Claims("r1", "home_hero", "", 0, 0, "hybrid", 1.0, ("A",), int(now.timestamp()), "s_31")
    click = {"event_id": "e1", "event_name": "select_item", "event_time": now.isoformat()}
    event = with_body(lambda_event("post_events"), events=[{**click, "attribution_token": issue(claims, secret)}])

    status, body = answer_of(handler(event, None))

    assert (status, body["accepted"], body["rejected"]) == (202, 1, [])
    assert [(caveat["index"], caveat["code"], caveat["pointer"]) for caveat in body["warnings"]] == [
        (0, "uncredited", "/events/0/items")
    ]
    assert '"EventsUncredited":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_what_lands_of_a_clock_that_runs_ahead_is_the_time_set_right(
    handler: Handler, sessions: MemorySessions
) -> None:
    now = datetime.now(UTC)
    ahead = (now + timedelta(hours=3)).isoformat()
    entry = {"event_id": "e1", "event_name": "view_cart", "event_time": ahead}

    for session, sent_at in (("told", ahead), ("untold", None)):
        event = with_body(lambda_event("post_events"), session_id=session, sent_at=sent_at, events=[entry])
        assert answer_of(handler(event, None))[1]["accepted"] == 1

    landed = [datetime.fromisoformat(to_accepted_record(entry)["event_time"]) for entry in sessions.outbox]
    assert len(landed) == 2
    assert all(now <= moment <= datetime.now(UTC) for moment in landed)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{", 400, "invalid_json"),
        ('{"events": [{}]}', 400, "invalid_argument"),
        ('{"events": [' + ",".join(["{}"] * 101) + "]}", 413, "too_many_events"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused(handler: Handler, body: str, status: int, code: str) -> None:
    found, problem = answer_of(handler({**lambda_event("post_events"), "body": body}, None))

    assert (found, problem["code"]) == (status, code)


def test_without_a_key_nothing_is_accepted(handler: Handler, sessions: MemorySessions) -> None:
    event = with_headers(happening_now(lambda_event("post_events")), x_publishable_key=None)

    assert handler(event, None)["statusCode"] == 401
    assert sessions.outbox == []


def test_a_dead_store_asks_for_the_same_batch_again_later(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The composed function, whose table does not exist here."""
    module = deployed("collect_events", monkeypatch)

    response = module.handler(happening_now(lambda_event("post_events")), None)

    assert (response["statusCode"], response["headers"]["retry-after"]) == (503, "5")


@pytest.mark.parametrize("function", ["collect_events", "deliver_events"])
def test_functions_without_models_load_none_of_their_libraries(function: str) -> None:
    check = (
        f"import sys, functions.{function}.handler;"
        "print(sorted({'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules)))"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": ":".join(path for path in sys.path if path)}

    found = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
