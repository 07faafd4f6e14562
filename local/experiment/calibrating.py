"""`experiment calibrate`: run null experiments of a design and write the boundary that they give into its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from recommender.contracts.experiments import parse_experiment
from recommender.domain.experiments.calibration import CLICK_RATE, DAILY_EXPOSURES, calibrate
from recommender.domain.experiments.proposal import proposed
from recommender.errors import InvalidInput
from tqdm import tqdm

from local.errors import LocalRunError
from local.experiment import tables

UNNAMED_BUNDLE = "any"  # of a canary: which bundle it is does not matter to the calibration


def calibrate_file(path: Path, *, experiments: int, seed: int) -> int:
    """Write `design.boundary`; traffic that the file does not state is that of the benchmark."""
    try:
        body = json.loads(path.read_text())
        request = parse_experiment(body)
        config = proposed(request, bundle_id=UNNAMED_BUNDLE)
        given = list(request.expected_daily_exposures.values())
        exposures = sum(given) / len(given) * (1 - config.holdout_share) if given else DAILY_EXPOSURES
        with tqdm(total=experiments, unit="experiment", desc="null experiments (simulated)") as bar:
            found = calibrate(
                replace(config.design, boundary=0.0),
                placements=len(config.placements),
                variants=len(config.variants),
                experiments=experiments,
                seed=seed,
                daily_exposures=exposures / request.expected_design_effect,
                click_rate=request.expected_click_rate or CLICK_RATE,
                progress=lambda done: bar.update(done - bar.n),
            )
    except InvalidInput as error:
        wrong = [{"pointer": one.pointer, "value": one.value, "expected": one.expected} for one in error.problems]
        raise LocalRunError(tables.refusal({"code": error.code, "errors": wrong})) from error
    except (OSError, ValueError) as error:
        raise LocalRunError(f"{path} cannot be read as an experiment: {error}.") from error
    _write(path, body, round(found.boundary, 4))
    print(
        f"Boundary {found.boundary:.3f} (standard error {found.standard_error:.3f}) from {experiments} simulated null "
        f"experiments, for a false-ship rate of {config.design.error_share:.1%} a placement; written to {path}."
    )
    return 0


def _write(path: Path, body: dict[str, Any], boundary: float) -> None:
    changed = {**body, "design": {**(body.get("design") or {}), "boundary": boundary}}
    path.write_text(json.dumps(changed, indent=1, ensure_ascii=False) + "\n")
