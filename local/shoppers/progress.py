"""Output of simulated days: a line a day, a table at the end, and the claims.

The experiment that simulated shoppers take part in: always a new one, drafted and started over the admin API.

What they do must not mix with what other visitors did, or shoppers of another taste. An experiment that holds
placements it needs is killed first; the start of the next `make run` brings the default one back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from recommender.contracts.placements import DEFAULT, POLICIES

from local.aws.signing import KeyPair, sign
from local.shoppers.crowd import Connection

HEAD: Final = ("day", "exposures", "clicks", "share of traffic", "P(best)", "decided")

WHY: Final = {  # by the rule of the experiment
    "claim": "the control keeps as much traffic as the best challenger, so good ones and it share alike",
    "optimise": "each variant gets the probability that it is the best",
}

Report = Mapping[str, Any]


def row(day: int, exposures: int, clicks: int, report: Report) -> tuple[str, ...]:
    """One simulated day: the shoppers' exposures and clicks, and the report at its end."""
    return (
        str(day),
        f"{exposures:,}",
        f"{clicks:,}",
        _by_variant(report, "weight"),
        _by_variant(report, "probability_best"),
        f"{len(decisions(report))} of {len(report['placements'])}",
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows under the head, in columns."""
    widths = [max(len(line[n]) for line in (HEAD, *rows)) for n in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in (HEAD, *rows)
    )


def decisions(report: Report) -> dict[str, Report]:
    """Return the decisions by placement; a placement that is still open is not in it."""
    found: Mapping[str, Report] = report["decision"].get("placements", {})
    return {placement: entry for placement, entry in found.items() if entry["status"] != "undecided"}


def is_decided(report: Report) -> bool:
    """True where nothing is left to decide."""
    return len(decisions(report)) == len(report["placements"])


def is_shipped(report: Report) -> bool:
    """True where a challenger was shipped anywhere."""
    return any(entry["status"] == "ship" for entry in decisions(report).values())


def closing(report: Report) -> str:
    """Explain the weights, the decisions and the claims, in sentences."""
    decided = [f"  {placement}: {_sentence(entry)}" for placement, entry in decisions(report).items()]
    why = WHY[report["decision"]["rule"]]
    parts = [
        (
            "Traffic (simulated)",
            [f"  Until a placement is decided {why}; then what was chosen gets all but the floors."],
        ),
        ("Decided (simulated)", decided or ["  nothing yet"]),
        ("What may be claimed of these simulated days", _bullets(report["may_claim"])),
        ("So far, estimates that claim nothing (simulated)", _bullets(report["so_far"])),
        ("What may not be claimed", _bullets(report["may_not_claim"])),
    ]
    return "\n\n".join("\n".join((title + ":", *lines)) for title, lines in parts)


def _sentence(decided: Report) -> str:
    chosen = {
        "ship": f"ship {decided['variant']}",
        "keep_control": "keep the control",
        "killed": f"{decided['killed']} was killed, the control serves",
    }[decided["status"]]
    return chosen if decided.get("day") is None else f"{chosen}, day {decided['day']:.0f}"


def _by_variant(report: Report, key: str) -> str:
    """The mean over placements for each variant."""
    means = [
        (variant, sum(entry["variants"][k][key] for entry in report["placements"]) / len(report["placements"]))
        for k, variant in enumerate(report["variants"])
    ]
    return " ".join(f"{variant} {mean:.2f}" for variant, mean in means)


def _bullets(sentences: str | Sequence[str]) -> list[str]:
    return [f"  - {sentence}" for sentence in ([sentences] if isinstance(sentences, str) else sentences)]


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


def open_experiment(admin: Administrator, *, rule: str, progress: Callable[[str], None]) -> str:
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
            progress(f"Simulated: {other} makes room for {name} (killed; `make run` starts the default one again)")
            admin.post(f"{EXPERIMENTS}/{other}/kill", {"reason": REASON})
    admin.post(f"{EXPERIMENTS}/{name}/start", {"reason": REASON})
    return name


def _free_name(taken: set[str]) -> str:
    numbered = (f"{NAME}_{n}" for n in range(2, len(taken) + 3))
    return NAME if NAME not in taken else next(name for name in numbered if name not in taken)
