"""`recommender run`: purchases → warehouse → models → bundle → API and shop on this machine, and the way it ends.

With `--check` the system then proves itself: named checks over real HTTP, one JSON line, exit 0 or 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from recommender.contracts.folders import REPORT, claim
from recommender.contracts.routes import KEY_HEADER
from recommender.errors import Conflict

from local.aws import processes as stops
from local.aws.processes import StateLock
from local.check.run import acceptance, nothing_is_left, run_check, run_checks
from local.client import Answer
from local.pipeline import steps
from local.settings import (
    REAL_SOURCE,
    ROOT,
    SOURCES,
    LocalRunError,
    RunSettings,
    StateFolder,
    load_or_make,
)
from local.stack import Stack
from local.steps import Steps
from local.web import WebServer
from training_jobs.graph import RELEASES

INTERRUPTED: Final = 130
NEVER_SECONDS: Final = 86_400.0  # while checking, the checks decide when an epoch ends
FREE_BYTES_NEEDED: Final = 2 * 1024**3
SAMPLE: Final = {
    "visitor_id": "somebody-new",
    "session_id": "first-visit",
    "page": {"type": "home"},
    "placements": [{"placement": "home_hero", "limit": 2}],
}


def progress(line: str) -> None:
    """Progress, on stderr; stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def serve(settings: RunSettings, *, retrain: bool) -> int:
    """Bring everything up and serve until a signal comes."""
    with system(settings, retrain=retrain) as (stack, _):
        _welcome(stack)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            progress("\nStopping.")
    return 0


def prove(settings: RunSettings, *, retrain: bool) -> int:
    """Bring everything up, check it, take it down, and print one JSON line."""
    with system(settings, retrain=retrain) as (stack, seconds):
        results = run_checks(acceptance(stack), progress=progress)
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
            stack = Stack(
                settings, load_or_make(settings.state.keys), server, environment=os.environ, progress=progress
            )
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
    runner = Steps(state.steps, state.logs, cwd=ROOT, progress=progress)
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


def main(arguments: list[str]) -> int:
    """Run the system; the exit status."""
    options = _parser().parse_args(arguments)
    stops.stop_on_signals()
    try:
        run = prove if options.check else serve
        return run(_settings(options, StateFolder(options.state_dir.resolve())), retrain=options.retrain)
    except KeyboardInterrupt:
        progress("Stopped.")
        return INTERRUPTED
    except (LocalRunError, OSError) as error:
        sentence = str(error) if isinstance(error, LocalRunError) else f"The local run cannot go on: {error}."
        progress(sentence)
        if options.check:
            print(json.dumps({"ok": False, "error": sentence, "checks": {}}))
        return 1


def _settings(options: argparse.Namespace, state: StateFolder) -> RunSettings:
    return RunSettings(
        state=state,
        port=options.port,
        source=options.source,
        shoppers=options.shoppers,
        days=options.days,
        seed=options.seed,
        period_seconds=NEVER_SECONDS if options.check else options.period,
        keeps_events=not options.check,  # the checks' visitors are nobody
        release=options.release,
        reports=ROOT / "reports" if state.root == ROOT / ".local" else state.reports,
    )


def _parser() -> argparse.ArgumentParser:
    usual = RunSettings(StateFolder(ROOT / ".local"))
    parser = argparse.ArgumentParser(prog="recommender run", description="The whole system on one machine.")
    parser.add_argument("--check", action="store_true", help="prove the system, print one JSON line and exit")
    parser.add_argument("--retrain", action="store_true", help="train again on the kept warehouse")
    parser.add_argument(
        "--release", choices=RELEASES, default=usual.release, help="a new bundle goes in force, or is a canary"
    )
    parser.add_argument("--port", type=int, default=_port(os.environ.get("PORT") or "8080"), help="of shop and API")
    parser.add_argument("--source", choices=SOURCES, default=REAL_SOURCE, help="where the purchases come from")
    parser.add_argument("--shoppers", type=int, default=usual.shoppers, help="generated source: how many shoppers")
    parser.add_argument("--days", type=int, default=usual.days, help="of the generated source")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the generated source")
    parser.add_argument("--period", type=float, default=usual.period_seconds, help="seconds between reallocations")
    parser.add_argument("--state-dir", type=Path, default=usual.state.root, help="where everything is kept")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) < 65536:
        progress(f"PORT is {text!r}, expected a number from 1 to 65535.")
        sys.exit(2)
    return int(text)
