"""Experiments benchmark: how long until a decision, how often is it right, and what does it cost?

    recommender bench experiments [--scenarios null,lift_10] [--experiments 400] [--seed 1] [--out DIR]
    recommender bench experiments --calibrate daily,weekly,time_box

Simulated experiments with a known truth (methods.py), run by the product's own analysis and by what
others do with the same traffic. Progress goes to stderr; the last line of stdout is one JSON object. `--calibrate`
computes the constants of domain/experiments/running/design.py anew, one JSON line a shape.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.contracts.fields import one_of, problem
from recommender.domain.experiments.evidence.simulation import Truth
from recommender.domain.experiments.running.design import constant_for, design_to_json
from recommender.domain.models.arrays import Doubles
from tqdm import tqdm

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.experiments.methods import (
    DESIGNS,
    PLACEMENTS,
    SCENARIOS,
    VARIANTS,
    Outcome,
    Scenario,
    calibration_table,
    fixed_and_peeking,
    per_slot_thompson,
    pooled,
    pooled_optimise,
    pooled_whole_weeks,
)
from benchmarks.experiments.report import sections
from training_jobs.intervals import PLACES, intervals

BATCH: Final = 100  # experiments at once: bounds the memory
DAY_TEN: Final = 10

Method = Callable[[Scenario, Truth, np.random.Generator], Outcome]
ALWAYS: Final[Mapping[str, Method]] = {"per_slot_thompson": per_slot_thompson, "pooled": pooled}
ALSO: Final[Mapping[str, Mapping[str, Method]]] = {
    **{name: {"pooled_whole_weeks": pooled_whole_weeks} for name in SCENARIOS if not name.startswith("time_box")},
    "portfolio": {"pooled_whole_weeks": pooled_whole_weeks, "pooled_optimise": pooled_optimise},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    if options.calibrate:
        return cli.exit_code(lambda: _calibrate(options))

    def asked() -> dict[str, Any]:
        return run(_known(options.scenarios, SCENARIOS, "--scenarios"), options.experiments, options.seed)

    return cli.answer(asked, options.out, sections=sections, unprinted=("days",))


def run(names: Sequence[str], experiments: int, seed: int) -> dict[str, Any]:
    """Every chosen scenario; its figures depend on its name and the seed, not on the other scenarios."""
    if experiments < 1:
        raise problem("--experiments", experiments, "at least 1")
    scenarios: dict[str, Any] = {}
    days: dict[str, Any] = {}
    bar = tqdm(total=len(names) * experiments, desc="experiments", unit="experiment", file=sys.stderr)
    for name in names:
        started = time.process_time()
        scenario = SCENARIOS[name]
        lifts, outcomes = _play(name, scenario, experiments, seed, bar)
        scenarios[name] = {
            "meaning": scenario.meaning,
            "design": design_to_json(scenario.design),
            "boundary": constant_for(scenario.design, placements=PLACEMENTS, variants=VARIANTS),
            "cpu_seconds": round(time.process_time() - started, 1),
            **{method: _figures(scenario, lifts, outcome) for method, outcome in outcomes.items()},
        }
        days[name] = {method: _by_day(outcome) for method, outcome in outcomes.items()}
    bar.close()
    return {
        "benchmark": "experiments",
        "label": "simulated",
        "data": {
            "name": f"{experiments} simulated experiments a scenario",
            "placements": PLACEMENTS,
            "variants": VARIANTS,
            "experiments": experiments,
        },
        "scenarios": scenarios,
        "days": days,
        "seeds": [seed],
        "machine": describe_machine(),
    }


def _play(name: str, scenario: Scenario, experiments: int, seed: int, bar: Any) -> tuple[Doubles, dict[str, Outcome]]:
    """All methods on the same truths; draws of their own, since their traffic differs."""
    stream = np.random.SeedSequence([seed, *name.encode()])
    lifts: list[Doubles] = []
    parts: dict[str, list[Outcome]] = {}
    methods = {**ALWAYS, **ALSO.get(name, {})}
    for batch, begin in zip(stream.spawn(-(-experiments // BATCH)), range(0, experiments, BATCH), strict=True):
        size = min(BATCH, experiments - begin)
        drawing, textbook, *own = (np.random.default_rng(child) for child in batch.spawn(2 + len(methods)))
        truth = scenario.truth(size, drawing)
        lifts.append(truth.lifts)
        fixed, peeking = fixed_and_peeking(truth, textbook)
        parts.setdefault("fixed", []).append(fixed)
        parts.setdefault("peeking", []).append(peeking)
        for (method, play), rng in zip(methods.items(), own, strict=True):
            parts.setdefault(method, []).append(play(scenario, truth, rng))
        bar.update(size)
    return np.concatenate(lifts), {method: _joined(found) for method, found in parts.items()}


def _joined(parts: Sequence[Outcome]) -> Outcome:
    fields = ("choice", "day", "reported", "lost")
    return Outcome(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def _figures(scenario: Scenario, lifts: Doubles, found: Outcome) -> dict[str, Any]:
    """The contract's figures; intervals are over experiments, since placements of one are not independent."""
    chosen = np.take_along_axis(lifts, found.choice[..., None], axis=-1)[..., 0]  # (E, P)
    best = lifts.max(axis=-1)
    ships = found.choice > 0
    shares = {
        "share_by_day_10": found.day <= DAY_TEN,
        "correct": chosen >= best - 1e-9,
        "ship": ships,
        "ship_any": np.broadcast_to(ships.any(axis=1, keepdims=True), ships.shape),
        "harm": chosen < lifts[..., 0] - 1e-9,
        "clicks_lost": found.lost,
        "shipped_lift": chosen,
    }
    means = {name: np.asarray(values, float).mean(axis=1) for name, values in shares.items()}  # (E,) each
    if scenario.harmed:
        means["harm_there"] = np.asarray(shares["harm"], float)[:, : scenario.harmed].mean(axis=1)
    ends = intervals(means)
    true_lift = float(chosen[ships].mean()) if ships.any() else 0.0
    reported = float(np.nanmean(found.reported)) if ships.any() else 0.0
    return {
        "median_days": float(np.median(found.day)),
        "p90_days": round(float(np.quantile(found.day, 0.9)), 2),
        **{name: round(float(values.mean()), PLACES) for name, values in means.items()},
        "oracle_lift": round(float(best.mean()), PLACES),
        "exaggeration": round(reported / true_lift, 4) if true_lift > 0 else None,
        "intervals": ends,
    }


def _by_day(found: Outcome) -> list[float]:
    """Share of placements that are decided by each day from 1 to 28: for the plot."""
    return [round(float((found.day <= day).mean()), 4) for day in range(1, 29)]


def _calibrate(options: argparse.Namespace) -> None:
    """One line of JSON a design."""
    designs = _known(options.calibrate, DESIGNS, "--calibrate")
    for row in calibration_table(designs, experiments=options.experiments, seed=options.seed):
        print(json.dumps(row), flush=True)


def _known(text: str, known: Any, pointer: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise problem(pointer, name, one_of(name, known))
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench experiments", description=__doc__.split("\n")[0])
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="comma separated; all by default")
    parser.add_argument("--experiments", type=int, default=400, help="a scenario; calibration: null experiments")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calibrate", default="", help="designs to compute constants for: daily, weekly, time_box")
    parser.add_argument("--out", type=Path, help="folder for plots, page and result")
    return parser


if __name__ == "__main__":
    sys.exit(main())
