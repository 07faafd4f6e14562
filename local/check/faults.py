"""Checks of faults: DynamoDB hangs, DynamoDB dies, a bundle is tampered with. Pages go on, and full service returns.

Check of the closed loop: a new experiment, a simulated day of shoppers, counted exactly, and the traffic moves.
"""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from recommender.contracts.artifacts import CURRENT
from recommender.domain.experiments.running.config import default_config

from local.aws.engine import Engine
from local.aws.signing import KeyPair
from local.check.shopping import Visitor, expect, expect_kept_or_hidden, lists, newcomer, wait_until
from local.client import Answer, ApiClient
from local.settings import SNAPSHOT_TTL_SECONDS, StateFolder
from local.shoppers.clicks import ByTaste
from local.shoppers.crowd import Connection, read_crowd
from local.shoppers.days import INCUMBENT_SHARE, Town
from local.shoppers.progress import Administrator, open_experiment
from training_jobs.environment import SHOPPERS

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


SESSIONS: Final = 60
CALIBRATION_SESSIONS: Final = 30
CLICK_SCALE: Final = 10.0  # so that one short day is enough
RULE: Final = "optimise"  # traffic follows what is best at once; `claim` keeps the control's share until it decides
LEAST_MOVE: Final = 0.01


def simulated_shoppers_move_traffic(
    port: int, publishable_key: str, bundle_id: str, state: StateFolder, keys: KeyPair
) -> str:
    """The report counts what the shoppers did, exactly, and the next epoch has other weights."""
    bundle, shoppers = state.artifacts / "bundles" / bundle_id, state.model("session_ranker") / SHOPPERS
    crowd = read_crowd(bundle, shoppers, seed=1, run=uuid.uuid4().hex[:8])
    with Connection(port, publishable_key) as shop:
        experiment_id = open_experiment(Administrator(shop, keys), rule=RULE, progress=lambda _: None)
        town = Town(crowd, shop, experiment_id)
        share, config = INCUMBENT_SHARE * CLICK_SCALE, default_config(datetime.now(UTC))
        eagerness = town.eagerness(config, share, sessions=CALIBRATION_SESSIONS)
        time.sleep(SNAPSHOT_TTL_SECONDS)  # who still serves the experiment before this one counts for that one
        before = town.report()
        day = town.day(range(SESSIONS), ByTaste(eagerness), progress=lambda: None)
        after = town.end_day(before)

    for kind, done in (("exposures", day.exposures.total()), ("clicks", day.clicks.total())):
        counted = _total(after, kind) - _total(before, kind)
        expect(counted == done, f"{counted} {kind} were counted, shoppers made {done}")
    expect(after["epoch"] == before["epoch"] + 1, f"epoch {after['epoch']} after {before['epoch']}")
    moved = max(abs(_weights(after)[cell] - weight) for cell, weight in _weights(before).items())
    expect(moved > LEAST_MOVE, f"no weight moved by more than {moved:.4f}")
    return (
        f"simulated: {day.exposures.total()} exposures and {day.clicks.total()} clicks counted exactly; "
        f"weights moved by up to {moved:.2f}"
    )


def _total(report: Mapping[str, Any], kind: str) -> int:
    """All that was counted, the hold-out included."""
    return int(report[kind]) + int(report["holdout"]["held_out"][kind])


def _weights(report: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    return {
        (entry["placement"], variant["variant"]): variant["weight"]
        for entry in report["placements"]
        for variant in entry["variants"]
    }
