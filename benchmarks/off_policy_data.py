"""Logs in the form of the Open Bandit Dataset, read and checked.

    DIR/random_<campaign>.parquet, DIR/bts_<campaign>.parquet   or as published: DIR/random/<campaign>/<campaign>.csv
    columns  item_id, position, click (0 or 1), propensity_score, and where known user_feature_*

A row is one item in one position. The log has no visitor ids, so each row stands alone. N rows, A items, K positions,
C columns of context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.contracts.fields import problem
from recommender.domain.arrays import Doubles
from recommender.errors import NotFound

POLICIES: Final = ("random", "bts")
CAMPAIGNS: Final = ("all", "men", "women")
COLUMNS: Final = ("item_id", "position", "click", "propensity_score")

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Log:
    """What one policy showed, and what was clicked."""

    items: Codes  # (N,) of 0..A-1
    positions: Codes  # (N,) of 0..K-1
    clicks: Doubles  # (N,)
    propensities: Doubles  # (N,) chance of the item in its position when it was shown
    context: Doubles  # (N, C) position and user features as zeros and ones

    @property
    def rate(self) -> float:
        """Clicks a row: what the policy itself was worth."""
        return float(self.clicks.mean())


@dataclass(frozen=True, slots=True)
class Campaign:
    """Two policies on the same items."""

    name: str
    random: Log
    bts: Log
    item_ids: tuple[int, ...]  # A, in order of their codes
    count_positions: int  # K


def load(folder: Path, names: Sequence[str] = ()) -> list[Campaign]:
    """The named campaigns, or every one of CAMPAIGNS that the folder holds."""
    if not folder.is_dir():
        raise NotFound(f"{folder} does not exist or is no folder")
    for name in names:
        if name not in CAMPAIGNS:
            raise problem("/campaigns", name, f"one of {', '.join(CAMPAIGNS)}")
    present = [name for name in CAMPAIGNS if any(_path(folder, policy, name).is_file() for policy in POLICIES)]
    if not present:
        expected = f"{_path(folder, 'random', 'all').name} and {_path(folder, 'bts', 'all').name}, or men, or women"
        raise problem(str(folder), "no logs", expected)
    return [_campaign(folder, name) for name in names or present]


def _campaign(folder: Path, name: str) -> Campaign:
    frames = {policy: read_log(_path(folder, policy, name)) for policy in POLICIES}
    both = pl.concat([frame.select("item_id", "position") for frame in frames.values()])
    listed = _path(folder, "item_context", name)
    known = [both["item_id"], *([pl.read_parquet(listed)["item_id"].cast(pl.Int64)] if listed.is_file() else [])]
    item_ids = pl.concat(known).unique().sort()
    positions = both["position"].unique().sort()
    levels = _levels(frames)
    logs = {policy: _log(frame, item_ids, positions, levels) for policy, frame in frames.items()}
    return Campaign(name, logs["random"], logs["bts"], tuple(item_ids.to_list()), len(positions))


def read_log(path: Path) -> pl.DataFrame:
    """One file, its columns typed and checked; raises naming file, column and value."""
    if not path.is_file():
        raise NotFound(f"{path} does not exist")
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise problem(path.name, "unreadable", f"a {path.suffix} file: {error}") from error
    for column in COLUMNS:
        if column not in frame.columns:
            raise problem(f"{path.name}/{column}", "missing", f"the columns {', '.join(COLUMNS)}")
    if not frame.height:
        raise problem(path.name, "no rows", "at least one row")
    kinds = {"item_id": pl.Int64, "position": pl.Int64, "click": pl.Float64, "propensity_score": pl.Float64}
    typed = frame.with_columns(pl.col(name).cast(kind, strict=False) for name, kind in kinds.items())
    score = pl.col("propensity_score")
    for column, is_right, expected in (
        ("item_id", pl.col("item_id").is_not_null(), "whole numbers"),
        ("position", pl.col("position").is_not_null(), "whole numbers"),
        ("click", pl.col("click").is_in([0.0, 1.0]), "0 or 1"),
        ("propensity_score", score.is_finite() & (score > 0.0) & (score <= 1.0), "chances above 0, at most 1"),
    ):
        wrong = typed.with_row_index("row").filter(~is_right.fill_null(False))
        if wrong.height:
            value = frame[column][wrong["row"][0]]
            raise problem(f"{path.name}/{column} of row {wrong['row'][0] + 1}", value, expected)
    return typed


def _path(folder: Path, kind: str, campaign: str) -> Path:
    published = folder / kind / campaign / f"{campaign}.csv"
    return published if published.is_file() else folder / f"{kind}_{campaign}.parquet"


def _levels(frames: dict[str, pl.DataFrame]) -> dict[str, list[object]]:
    """The values of each user feature that both logs know, without the first: columns of zeros and ones."""
    shared = [name for name in frames["random"].columns if name.startswith("user_feature")]
    return {
        name: pl.concat([frame[name].cast(pl.String) for frame in frames.values()])
        .drop_nulls()
        .unique()
        .sort()[1:]
        .to_list()
        for name in shared
        if all(name in frame.columns for frame in frames.values())
    }


def _log(frame: pl.DataFrame, item_ids: pl.Series, positions: pl.Series, levels: dict[str, list[object]]) -> Log:
    place = np.searchsorted(positions.to_numpy(), frame["position"].to_numpy())
    features = [
        (frame[name].cast(pl.String) == level).fill_null(False).cast(pl.Float64).to_numpy()
        for name, known in levels.items()
        for level in known
    ]
    return Log(
        np.searchsorted(item_ids.to_numpy(), frame["item_id"].to_numpy()).astype(np.int64),
        place.astype(np.int64),
        frame["click"].to_numpy().astype(np.float64),
        frame["propensity_score"].to_numpy().astype(np.float64),
        np.column_stack([*np.eye(len(positions))[place].T[1:], *features, np.zeros((len(place), 0))]),
    )
