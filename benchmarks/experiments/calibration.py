"""The table of domain/experiments/running/design.py, computed anew: one constant for each usual design and shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from recommender.domain.experiments.evidence.calibration import calibrate
from recommender.domain.experiments.running.design import DAILY, TIME_BOX, WEEKLY, Design
from tqdm import tqdm

from benchmarks.experiments.methods import PER_SLOT, VARIANTS

DESIGNS: Final[dict[str, Design]] = {"daily": DAILY, "time_box": TIME_BOX, "weekly": WEEKLY, "per_slot": PER_SLOT}
SHAPES: Final = tuple((p, k) for k in (4, 3, 2, 5) for p in (12, 8, 4, 2, 1))  # placements, variants
SMALL: Final = 4  # placements below which more experiments are needed for the same precision, and cost no more


def table(designs: Sequence[str], *, experiments: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row for each shape and design, as soon as it is known."""
    todo = [(shape, name) for shape in SHAPES for name in designs if name != "per_slot" or shape == (1, VARIANTS)]
    for (placements, variants), name in tqdm(todo, desc="calibrate", unit="constant"):
        found = calibrate(
            DESIGNS[name],
            placements=placements,
            variants=variants,
            experiments=experiments * max(1, SMALL // placements),
            seed=seed,
        )
        yield {
            "design": name,
            "placements": placements,
            "variants": variants,
            "boundary": round(found.boundary, 3),
            "standard_error": round(found.standard_error, 3),
            "global_boundary": round(found.global_boundary, 3),
            "experiments": found.experiments,
            "seed": seed,
        }
