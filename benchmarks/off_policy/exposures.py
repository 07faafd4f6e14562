"""Our own exposure log: the value of serving everybody one variant.

Two forms are read, from a file or a folder of them: the events as `deliver_events` lands them (JSON lines; a list that
counted as seen has "exposure" among its rewards, its click has "click") and the warehouse's export `impressions_v1`
(Parquet, a row an item of a list). An exposure is one list in one placement, with reward 1 where it was clicked. Rows
without a random choice (hold-out, no experiment, one variant left) carry no evidence on other variants and are left
out, counted. Rows of one visitor rise and fall together; the export has the session only. Letters: N rows, A variants,
C columns of context.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.contracts.event_kinds import CLICK, EXPOSURE
from recommender.contracts.exports import EXPORTS
from recommender.contracts.fields import problem
from recommender.domain.experiments.evidence.off_policy import Evaluation, RewardLog, cross_fitted, evaluate, weights
from recommender.domain.models.arrays import Doubles
from recommender.errors import NotFound
from tqdm import tqdm

from benchmarks.off_policy.report import as_json
from benchmarks.tables import read_table

POOLED: Final = "pooled"
LIST: Final = ("recommendation_id", "placement")  # the key of one exposure
CLAIMS: Final = (*LIST, "experiment", "epoch", "variant", "propensity")
SCHEMA: Final = {
    "recommendation_id": pl.String, "placement": pl.String, "experiment": pl.String, "epoch": pl.Int64,
    "variant": pl.String, "propensity": pl.Float64, "unit": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exposures:
    """One row an exposure: experiment, placement, epoch, variant, propensity, unit, clicked."""

    rows: pl.DataFrame
    unit: str  # visitor_id or session_id
    left_out: int  # rows where nothing was left to chance


def load(path: Path) -> Exposures:
    """Read and check a file or folder; raises naming file, column and value."""
    files = sorted(file for kind in ("*.parquet", "*.jsonl") for file in path.rglob(kind)) if path.is_dir() else [path]
    if not path.exists() or not files:
        raise NotFound(f"{path} does not exist, or holds neither .parquet nor .jsonl")
    exports, landed = (
        [file for file in files if file.suffix == ".parquet"],
        [file for file in files if file.suffix == ".jsonl"],
    )
    if bool(exports) == bool(landed):
        raise problem(path.name, [file.suffix for file in files][:3], "either .parquet or .jsonl")
    rows, unit = (_of_export(exports), "") if exports else (_of_landing(landed), "visitor_id")
    if exports:
        unit = "visitor_id" if "visitor_id" in rows.columns else "session_id"
        rows = rows.rename({unit: "unit"})
    if not rows.height:
        raise problem(path.name, "no exposures", "at least one list that was seen")
    _checked(rows, path.name)
    chosen = rows.filter((pl.col("experiment") != "") & (pl.col("propensity") < 1.0))
    if not chosen.height:
        raise problem(path.name, f"{rows.height} exposures, none of them drawn", "propensities below 1")
    return Exposures(chosen, unit, rows.height - chosen.height)


def values(exposures: Exposures, *, seed: int) -> dict[str, Any]:
    """experiment -> variant -> pooled and each placement -> estimates."""
    found: dict[str, Any] = {}
    groups = exposures.rows.partition_by("experiment", as_dict=True, maintain_order=True)
    for (experiment,), rows in tqdm(groups.items(), desc="experiments", file=sys.stderr):
        variants = rows["variant"].unique().sort().to_list()
        scopes = {
            POOLED: rows,
            **{str(key[0]): part for key, part in rows.partition_by("placement", as_dict=True).items()},
        }
        found[str(experiment)] = {
            variant: {
                scope: as_json(value_of(variant, part, variants, seed=seed)) | {"exposures": part.height}
                for scope, part in scopes.items()
            }
            for variant in variants
        }
    return {
        "experiments": found,
        "unit": exposures.unit,
        "left_out": exposures.left_out,
        "exposures": exposures.rows.height,
    }


def value_of(variant: str, rows: pl.DataFrame, variants: list[str], *, seed: int) -> Evaluation:
    """Clicks an exposure if every one of `rows` had been served `variant`."""
    rng = np.random.default_rng(seed)
    clicked = rows["clicked"].cast(pl.Float64).to_numpy()
    units: NDArray[np.int64] = np.unique(rows["unit"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    actions = np.searchsorted(np.array(variants), rows["variant"].to_numpy().astype(str)).astype(np.int64)
    is_target = np.array([name == variant for name in variants], np.float64)  # (A,)
    weight = weights(is_target[actions], rows["propensity"].to_numpy())
    asked = RewardLog(_context(rows), actions, clicked, np.tile(is_target, (len(actions), 1)))
    return evaluate(clicked, weight, rng=rng, fitted=cross_fitted(asked, rng=rng, units=units), units=units)


def _context(rows: pl.DataFrame) -> Doubles:
    """(N, C): placement and epoch as zeros and ones, without the first of each."""
    columns = [
        (rows[name] == level).cast(pl.Float64).to_numpy()
        for name in ("placement", "epoch")
        for level in rows[name].unique().sort()[1:]
    ]
    return np.column_stack([*columns, np.zeros((rows.height, 0))])


def _of_export(files: list[Path]) -> pl.DataFrame:
    """The lists of impressions_v1: clicked where any item was."""
    needed = [column for column, _ in EXPORTS["impressions"] if column not in ("item_id", "index", "shown_at")]
    rows = pl.concat([read_table(file, needed) for file in files], how="diagonal_relaxed")
    unit = "visitor_id" if "visitor_id" in rows.columns else "session_id"
    first = [pl.col(name).first() for name in ("experiment", "epoch", "variant", "propensity", unit)]
    return rows.group_by(LIST, maintain_order=True).agg(*first, pl.col("clicked").any())


def _of_landing(files: list[Path]) -> pl.DataFrame:
    """The lists that counted as seen, with the clicks that counted."""
    seen: list[dict[str, Any]] = []
    clicked: set[tuple[str, str]] = set()
    for record, place in (found for file in files for found in _records(file)):
        claims, rewards = record.get("claims"), record.get("rewards") or ()
        if not claims or not rewards:
            continue
        missing = [name for name in CLAIMS if name not in claims]
        if missing or not record.get("visitor_id"):
            name = f"claims/{missing[0]}" if missing else "visitor_id"
            raise problem(f"{place}/{name}", "missing", "an accepted event with its claims")
        if EXPOSURE in rewards:
            held_out = {"experiment": ""} if claims.get("is_holdout") else {}
            seen.append({**{name: claims[name] for name in CLAIMS}, **held_out, "unit": record["visitor_id"]})
        if CLICK in rewards:
            clicked.add((claims["recommendation_id"], claims["placement"]))
    hits = [(row["recommendation_id"], row["placement"]) in clicked for row in seen]
    return pl.DataFrame(seen, schema=SCHEMA, strict=False).with_columns(pl.Series("clicked", hits, dtype=pl.Boolean))


def _records(file: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise problem(f"{file.name}, line {number}", line, "a JSON object") from error
        if not isinstance(record, dict):
            raise problem(f"{file.name}, line {number}", line, "a JSON object")
        yield record, f"{file.name}, line {number}"


def _checked(rows: pl.DataFrame, name: str) -> None:
    """Raise InvalidInput naming the column with a wrong value."""
    chance = pl.col("propensity")
    for column, is_right, expected in (
        ("propensity", chance.is_finite() & (chance > 0.0) & (chance <= 1.0), "chances above 0, at most 1"),
        ("variant", pl.col("variant").is_not_null() & (pl.col("variant") != ""), "the name of a variant"),
        ("experiment", pl.col("experiment").is_not_null(), "an experiment, empty where none ran"),
        ("unit", pl.col("unit").is_not_null(), "a visitor or session"),
        ("clicked", pl.col("clicked").is_not_null(), "true or false"),
    ):
        wrong = rows.filter(~is_right.fill_null(False))
        if wrong.height:
            raise problem(f"{name}/{column}", wrong[column][0], expected)
