"""One local run from the first purchase to the last request, and the way it ends."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from recommender.contracts.folders import REPORT, claim
from recommender.contracts.routes import KEY_HEADER
from recommender.errors import Conflict

from local.aws import processes as stops
from local.aws.processes import StateLock
from local.check.run import acceptance, nothing_is_left, run_check, run_checks
from local.client import Answer
from local.pipeline import steps
from local.settings import ROOT, LocalRunError, RunSettings, load_or_make
from local.stack import Stack
from local.steps import Steps
from local.web import WebServer

FREE_BYTES_NEEDED: Final = 2 * 1024**3
SAMPLE: Final = {
    "visitor_id": "somebody-new",
    "session_id": "first-visit",
    "page": {"type": "home"},
    "placements": [{"placement": "home_hero", "limit": 2}],
}


def say(line: str) -> None:
    """Progress, on stderr; stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def serve(settings: RunSettings, *, retrain: bool) -> int:
    """Bring everything up and serve until a signal comes."""
    with system(settings, retrain=retrain) as (stack, _):
        _welcome(stack)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say("\nStopping.")
    return 0


def prove(settings: RunSettings, *, retrain: bool) -> int:
    """Bring everything up, check it, take it down, and print one JSON line."""
    with system(settings, retrain=retrain) as (stack, seconds):
        results = run_checks(acceptance(stack), say=say)
        ports, children = (stack.server.port, stack.engine.port), stack.process_ids()
    results["stop_leaves_nothing"] = run_check(lambda: nothing_is_left(ports, children))
    ok = all(result["ok"] for result in results.values())
    print(json.dumps({"ok": ok, "seconds_to_ready": seconds, "checks": results}, ensure_ascii=False), flush=True)
    return 0 if ok else 1


@contextmanager
def system(settings: RunSettings, *, retrain: bool) -> Iterator[tuple[Stack, float]]:
    """The running system and how long it took; the port and the folder are claimed before the long job."""
    started = time.monotonic()
    with StateLock(settings.state.root):
        server = WebServer(settings.port)
        try:
            _make(settings, retrain=retrain)
            stack = Stack(settings, load_or_make(settings.state.keys), server, environment=os.environ, say=say)
            try:
                yield stack, round(time.monotonic() - started, 1)
            finally:
                with stops.ignored():
                    stack.stop()
        finally:
            with stops.ignored():
                server.close()


def _make(settings: RunSettings, *, retrain: bool) -> None:
    """The main job, as far as it is not done."""
    state = settings.state
    free = shutil.disk_usage(state.root).free
    if free < FREE_BYTES_NEEDED:
        missing = f"{free / 1e9:.1f} GB of free space, {FREE_BYTES_NEEDED / 1e9:.1f} GB are needed"
        raise LocalRunError(f"The disk of {state.root} has {missing}; make room and start again.")
    runner = Steps(state.steps, state.logs, cwd=ROOT, say=say)
    todo = steps(settings, environment=os.environ)
    if retrain:
        runner.forget(todo)  # the warehouse itself is kept and only adds what was landed
    runner.run(todo)
    try:
        reports = claim(settings.reports / "evaluation", REPORT)
    except Conflict as error:
        raise LocalRunError(f"{error.detail}.") from error
    shutil.copytree(state.model("evaluate"), reports, dirs_exist_ok=True)


def _welcome(stack: Stack) -> None:
    """The address, a sample request with its real answer, and where the report is."""
    url, key = stack.server.url, stack.keys.publishable_key
    answer = stack.api.post("/v1/recommendations", SAMPLE)
    print(
        f"""
Shop and API: {url}

curl -s {url}/v1/recommendations -H '{KEY_HEADER}: {key}' -d '{json.dumps(SAMPLE)}'
{_short(answer)}

Report: {stack.settings.reports / "evaluation" / "report.html"} (and {url}/report/)
Logs:   {stack.settings.state.logs}
Ctrl-C stops everything.
""",
        flush=True,
    )


def _short(answer: Answer) -> str:
    """The answer as it came, with the long token cut."""
    if answer.status != 200:
        return answer.text
    body: dict[str, Any] = answer.body
    for placement in body["placements"]:
        token = placement.get("attribution_token") or ""
        placement["attribution_token"] = token[:16] + "…" if len(token) > 16 else token
    return json.dumps(body, indent=2, ensure_ascii=False)
