"""Checks of faults: DynamoDB hangs, DynamoDB dies, a bundle is tampered with. Pages go on, and full service returns."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

from recommender.contracts.artifacts import CURRENT

from local.check.shopping import Visitor, expect, expect_kept_or_hidden, lists, newcomer, wait_until
from local.client import Answer, ApiClient
from local.engine import Engine

BACK_SECONDS = 60.0


def database_hangs(api: ApiClient, engine: Engine) -> str:
    """While DynamoDB does not answer, pages do: 200, `degraded`, nothing empty; afterwards they are full again."""
    stopped = engine.process
    stopped.send_signal(signal.SIGSTOP)
    try:
        reason = _degraded(newcomer(api))
    finally:
        stopped.send_signal(signal.SIGCONT)
    _back(api)
    return f"degraded ({reason}), then full service"


def database_dies(api: ApiClient, engine: Engine) -> str:
    """DynamoDB is killed; it is started again empty and refilled while pages are served from what is in memory."""
    killed = engine.process
    killed.kill()
    reason = _degraded(newcomer(api))
    wait_until(lambda: engine.process is not killed, seconds=BACK_SECONDS, otherwise="no new engine was started")
    _back(api)
    return f"degraded ({reason}), then full service"


def tampered_bundle_is_refused(api: ApiClient, s3: Any, bucket: str) -> str:
    """`current.json` points to a bundle that is not there: the last good one stays in service."""
    before = newcomer(api).look().body["model_version"]
    good = s3.get_object(Bucket=bucket, Key=CURRENT)["Body"].read()
    s3.put_object(Bucket=bucket, Key=CURRENT, Body=json.dumps({"bundle_id": "20000101T000000-000000000000"}).encode())
    try:
        seen = [_served_by(api) for _ in range(12)]
    finally:
        s3.put_object(Bucket=bucket, Key=CURRENT, Body=good)
    expect(set(seen) == {before}, f"served by {sorted(set(map(str, seen)))}, expected {before} only")
    return f"{before} stays"


def cold_functions_have_lists(api: ApiClient, s3: Any, bucket: str, kill: Callable[[], None]) -> str:
    """Functions that start while the pointer is broken serve its copy; while no bundle can be loaded, standby lists."""
    good = s3.get_object(Bucket=bucket, Key=CURRENT)["Body"].read()
    nowhere = json.dumps({"bundle_id": "20000101T000000-000000000000"}).encode()
    before, reasons = newcomer(api).look().body["model_version"], {}
    try:
        for name, content in (("copy", b"no json"), ("standby", nowhere)):
            s3.put_object(Bucket=bucket, Key=CURRENT, Body=content)
            kill()
            answer = _answer_of_a_cold_function(api)
            found = expect_kept_or_hidden(answer)
            expect(bool(found["home_hero"]), "home_hero is empty")
            reasons[name] = answer.body["degraded_reason"], answer.body["model_version"]
    finally:
        s3.put_object(Bucket=bucket, Key=CURRENT, Body=good)
    _back(api)
    expect(reasons["copy"] == (None, before), f"with a broken pointer: {reasons['copy']}")
    expect(reasons["standby"] == ("bundle_unavailable", None), f"with no bundle to load: {reasons['standby']}")
    return "a copy of the pointer, then standby lists, then full service"


def _answer_of_a_cold_function(api: ApiClient) -> Answer:
    answers: list[Answer] = []

    def is_there() -> bool:
        answers.append(newcomer(api).look())
        return answers[-1].status == 200

    wait_until(is_there, seconds=BACK_SECONDS, otherwise="no function answers")
    return answers[-1]


def _served_by(api: ApiClient) -> Any:
    answer = newcomer(api).look()
    lists(answer)
    return answer.body["model_version"]


def _degraded(visitor: Visitor) -> str:
    answer = visitor.look()
    expect_kept_or_hidden(answer)
    expect(answer.body["degraded"] is True, "degraded is false although DynamoDB is away")
    return str(answer.body["degraded_reason"])


def _back(api: ApiClient) -> None:
    def is_full() -> bool:
        answer = newcomer(api).look()
        return answer.status == 200 and answer.body["degraded"] is False

    wait_until(is_full, seconds=BACK_SECONDS, otherwise="service is still degraded")
