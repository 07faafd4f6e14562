"""Check of the closed loop: a new experiment, a simulated day of shoppers, counted exactly, and the traffic moves."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from recommender.domain.experiments.config import default_config

from local.check.shopping import expect
from local.settings import SNAPSHOT_TTL_SECONDS, StateFolder
from local.shoppers.clicks import ByTaste
from local.shoppers.connection import Connection
from local.shoppers.crowd import read_crowd
from local.shoppers.days import INCUMBENT_SHARE, Town
from local.shoppers.experiment import Administrator, open_experiment
from local.signing import KeyPair
from training_jobs.publish.train import SHOPPERS

SESSIONS: Final = 60
CALIBRATION_SESSIONS: Final = 30
CLICK_SCALE: Final = 10.0  # so that one short day is enough to tell
RULE: Final = "optimise"  # traffic follows what is best at once; `claim` keeps the control's share until it decides
LEAST_MOVE: Final = 0.01


def simulated_shoppers_move_traffic(
    port: int, publishable_key: str, bundle_id: str, state: StateFolder, keys: KeyPair
) -> str:
    """The report counts what the shoppers did, exactly, and the next epoch has other weights."""
    bundle, shoppers = state.artifacts / "bundles" / bundle_id, state.model("session_ranker") / SHOPPERS
    crowd = read_crowd(bundle, shoppers, seed=1, run=uuid.uuid4().hex[:8])
    with Connection(port, publishable_key) as shop:
        experiment_id = open_experiment(Administrator(shop, keys), rule=RULE, say=lambda _: None)
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
