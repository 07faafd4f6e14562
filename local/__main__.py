"""`python -m local run`: purchases → warehouse → models → bundle → API and shop on this machine.

With `--check` the system then proves itself: named checks over real HTTP, one JSON line, exit 0 or 1.
`python -m local clean` deletes the state folder and says so; `python -m local experiment …` administers experiments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Final

from local.aws.processes import stop_on_signals
from local.clean import clean
from local.experiment import main as experiment
from local.run import prove, say, serve
from local.settings import REAL_SOURCE, ROOT, SOURCES, LocalRunError, RunSettings, StateFolder
from training_jobs.graph import RELEASES

INTERRUPTED: Final = 130
NEVER_SECONDS: Final = 86_400.0  # while checking, the checks decide when an epoch ends


def main(arguments: list[str]) -> int:
    """Run a command; the exit status."""
    if arguments[:1] == ["experiment"]:
        return experiment(arguments[1:])
    options = _parser().parse_args(arguments)
    state = StateFolder(options.state_dir.resolve())
    stop_on_signals()
    try:
        if options.command == "clean":
            for line in clean(options.state_dir.absolute()):  # not resolved: a link is not followed
                print(line)
            return 0
        run = prove if options.check else serve
        return run(_settings(options, state), retrain=options.retrain)
    except KeyboardInterrupt:
        say("Stopped.")
        return INTERRUPTED
    except (LocalRunError, OSError) as error:
        sentence = str(error) if isinstance(error, LocalRunError) else f"The local run cannot go on: {error}."
        say(sentence)
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
    parser = argparse.ArgumentParser(prog="python -m local", description="The whole system on one machine.")
    parser.add_argument("command", choices=("run", "clean"))
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
        say(f"PORT is {text!r}, expected a number from 1 to 65535.")
        sys.exit(2)
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
