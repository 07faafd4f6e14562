"""The experiment that simulated shoppers take part in: always a new one, drafted and started over the admin API.

What they do must not mix with what other visitors did, or shoppers of another taste. An experiment that holds
placements it needs is killed first; the start of the next `make run` brings the default one back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from recommender.contracts.placements import DEFAULT, POLICIES

from local.shoppers.connection import Connection
from local.signing import KeyPair, sign

NAME: Final = "exp_simulated"
EXPERIMENTS: Final = "/v1/experiments"
ALLOCATION: Final = {"claim": "top_two", "optimise": "thompson"}  # the calibrated one, and the one that loses least
REASON: Final = "simulated shoppers"
PLACEMENTS: Final = tuple(placement.placement_id for placement in DEFAULT)


@dataclass(frozen=True, slots=True)
class Administrator:
    """Calls the admin routes with the keys of the local run."""

    shop: Connection
    keys: KeyPair

    def get(self, path: str) -> Any:
        """GET, signed."""
        return self.shop.get(path, sign("GET", self.shop.url + path, self.keys))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST, signed. Repeating any of these changes nothing."""
        headers = sign("POST", self.shop.url + path, self.keys, body=json.dumps(body).encode())
        return self.shop.post(path, body, headers)


def open_experiment(admin: Administrator, *, rule: str, say: Callable[[str], None]) -> str:
    """Start an experiment with every policy in all placements; its id."""
    known = {entry["experiment_id"]: entry["status"] for entry in admin.get(EXPERIMENTS)["experiments"]}
    body = {
        "experiment_id": (name := _free_name(set(known))),
        "placements": PLACEMENTS,
        "variants": POLICIES,
        "design": {"rule": rule, "allocation": ALLOCATION[rule]},
        "reason": REASON,
    }
    admin.post(EXPERIMENTS, body)
    for other, status in known.items():
        if status in ("running", "paused", "decided"):
            say(f"Simulated: {other} makes room for {name} (killed; `make run` starts the default one again)")
            admin.post(f"{EXPERIMENTS}/{other}/kill", {"reason": REASON})
    admin.post(f"{EXPERIMENTS}/{name}/start", {"reason": REASON})
    return name


def _free_name(taken: set[str]) -> str:
    numbered = (f"{NAME}_{n}" for n in range(2, len(taken) + 3))
    return NAME if NAME not in taken else next(name for name in numbered if name not in taken)
