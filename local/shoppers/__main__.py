"""`recommender shoppers`: simulated shoppers in the shop that `make run` has started.

A line a simulated day, then a table, the decisions, and what may be claimed. Progress goes to stderr. With `--null`
shoppers click whatever stands there, so that nothing can be better than anything: exit status 1 if something is
shipped all the same.

Decisions: docs/decisions/local.md (140).
"""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from recommender.domain.experiments.running.config import default_config
from recommender.domain.experiments.running.design import RULES
from tqdm import tqdm

from local.aws.processes import heard
from local.aws.signing import KeyPair
from local.experiment_report.page import write
from local.settings import REGION, ROOT, LocalRunError, StateFolder, load_or_make
from local.shoppers import progress as telling
from local.shoppers.clicks import Blind, ByTaste, Clicking
from local.shoppers.crowd import Connection, Crowd, read_crowd
from local.shoppers.days import INCUMBENT_SHARE, Town
from local.shoppers.progress import Administrator, open_experiment
from training_jobs.environment import SHOPPERS

INTERRUPTED: Final = 130
MOST_CLICKED: Final = 0.45  # of the incumbent's lists: beyond, nothing is left to tell apart


def main(arguments: list[str]) -> int:
    """Send shoppers; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        with heard():
            return _send(options)
    except KeyboardInterrupt:
        _progress("Stopped. What was counted stays.")
        return INTERRUPTED
    except (LocalRunError, OSError) as error:
        _progress(str(error))
        return 1


def _send(options: argparse.Namespace) -> int:
    with Connection(options.port) as anyone:
        config = _shop_config(anyone, options.port)
    with Connection(options.port, config["publishable_key"]) as shop:
        crowd = _crowd(config, options)
        return _simulate(Town(crowd, shop, options.experiment or _new_experiment(shop, options)), options)


def _simulate(town: Town, options: argparse.Namespace) -> int:
    clicking = _clicking(town, options)
    rows, report = [], town.report()
    total, number = options.days * options.sessions_per_day, 0
    with tqdm(total=total, unit="session", desc="simulated", mininterval=0.5) as bar:
        for day in range(1, options.days + 1):
            is_last = telling.is_decided(report)  # one more day, to see the traffic that was decided
            numbers = range(number, number := number + options.sessions_per_day)
            bar.set_description(f"simulated day {day}")
            done = town.day(numbers, clicking, progress=bar.update)
            report = town.end_day(report)
            rows.append(telling.row(day, done.exposures.total(), done.clicks.total(), report))
            bar.write(f"simulated day {'  '.join(rows[-1])}", file=sys.stdout)
            if is_last:
                break
    words = telling.closing(report)
    print(f"\nSimulated shoppers, experiment {town.experiment_id}\n\n{telling.table(rows)}\n\n{words}")
    print(f"\nReport of the simulated days: {write(report, _reports(options) / 'experiments' / town.experiment_id)}")
    if options.null and telling.is_shipped(report):
        _progress("A challenger was shipped although no list could be better than another: a false alarm.")
        return 1
    return 0


def _new_experiment(shop: Connection, options: argparse.Namespace) -> str:
    keys = load_or_make(StateFolder(options.state_dir.resolve()).keys)
    admin = Administrator(shop, KeyPair(keys.access_key, keys.secret_key, REGION))
    return open_experiment(admin, rule=options.rule, progress=_progress)


def _shop_config(anyone: Connection, port: int) -> Mapping[str, Any]:
    """Read the running shop's description."""
    try:
        config: Mapping[str, Any] = anyone.get("/shop-config.json")
    except LocalRunError as error:
        raise LocalRunError(
            f"No shop answers on port {port}: start one with `make run` (PORT={port}) and leave it running, "
            f"or name its port with PORT=. ({error})"
        ) from error
    return config


def _crowd(config: Mapping[str, Any], options: argparse.Namespace) -> Crowd:
    """Shoppers for the running shop's own catalogue, among them its own households."""
    state = StateFolder(options.state_dir.resolve())
    bundle = state.artifacts / "bundles" / config["bundle_id"]
    if not bundle.is_dir():
        raise LocalRunError(
            f"{state.root} has no bundle {config['bundle_id']}: name the state folder of the running shop."
        )
    shoppers = state.model("session_ranker") / SHOPPERS
    return read_crowd(bundle, shoppers, seed=options.seed, run=uuid.uuid4().hex[:8])


def _clicking(town: Town, options: argparse.Namespace) -> Clicking:
    share = INCUMBENT_SHARE * options.click_scale
    if options.null:
        _progress(f"Simulated: {share:.1%} of the lists are clicked, whatever they show.")
        return Blind(share)
    _progress("Simulated: measuring how often the incumbent would be clicked, on pages that are not counted")
    eagerness = town.eagerness(default_config(datetime.now(UTC)), share)
    _progress(f"Simulated: shoppers click {share:.1%} of the incumbent's lists ({options.click_scale:g} × 1.8 %).")
    return ByTaste(eagerness)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender shoppers", description="Simulated shoppers.")
    parser.add_argument("--days", type=_above_zero, default=16, help="at most; it ends a day after all is decided")
    parser.add_argument("--sessions-per-day", type=_above_zero, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--click-scale", type=_scale, default=1.0, help="times the incumbent's 1.8 %% of clicked lists")
    parser.add_argument("--null", action="store_true", help="clicks do not depend on what is shown")
    parser.add_argument("--rule", choices=RULES, default="claim", help="of the new experiment")
    parser.add_argument("--experiment", default="", help="take part in this one instead of starting one")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or "8080"), help="of the running shop")
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".local", help="of the running shop")
    return parser


def _reports(options: argparse.Namespace) -> Path:
    state = StateFolder(options.state_dir.resolve())
    return ROOT / "reports" if state.root == ROOT / ".local" else state.reports


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 < scale * INCUMBENT_SHARE <= MOST_CLICKED:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {MOST_CLICKED / INCUMBENT_SHARE:.0f}")
    return scale


def _above_zero(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _progress(line: Any) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
