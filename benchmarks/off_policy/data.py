"""Logs in the form of the Open Bandit Dataset, and the policies to evaluate on them.

    DIR/random_<campaign>.parquet, DIR/bts_<campaign>.parquet   or as published: DIR/random/<campaign>/<campaign>.csv
    columns  item_id, position, click (0 or 1), propensity_score, and where known user_feature_*

A row is one item in one position; the log has no visitor ids, so each row stands alone. A policy is the chances (A, K)
of each item in each position, columns summing to 1. `bts` (Bernoulli Thompson Sampling) moved while it logged, so there
are two readings of it: `averaged` takes the log's own propensities, the mean policy of the week; `starting` simulates
the policy at the start of the week from its Beta parameters, which the package obp publishes, as do the published
figures (pip download obp==0.4.1 --no-deps, then --prior obp-0.4.1-py3-none-any.whl or its prior_bts.yaml). Letters: N
rows, A items, K positions, C columns of context.

Decisions: docs/decisions/benchmarks.md (120).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.contracts.fields import one_of, problem
from recommender.domain.models.arrays import Doubles
from recommender.errors import NotFound

from benchmarks.tables import read_table

POLICIES: Final = ("random", "bts")
CAMPAIGNS: Final = ("all", "men", "women")
COLUMNS: Final = ("item_id", "position", "click", "propensity_score")

Codes = NDArray[np.int64]
PRIOR_FILE: Final = "obp/policy/conf/prior_bts.yaml"
DRAWS: Final = 100_000
PUBLISHED_SEED: Final = 12345  # of the published figures
CHUNK: Final = 10_000
Prior = Mapping[str, Mapping[str, Doubles]]  # campaign -> alpha, beta -> (A,)


@dataclass(frozen=True, slots=True)
class Log:
    """The items that one policy showed, and the clicks."""

    items: Codes  # (N,) of 0..A-1
    positions: Codes  # (N,) of 0..K-1
    clicks: Doubles  # (N,)
    propensities: Doubles  # (N,) chance of the item in its position when it was shown
    context: Doubles  # (N, C) position and user features as zeros and ones

    @property
    def rate(self) -> float:
        """Clicks a row: the value of the policy itself."""
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
            raise problem("/campaigns", name, one_of(name, CAMPAIGNS))
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
    frame = read_table(path, COLUMNS)
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


def uniform(count_items: int, count_positions: int) -> Doubles:
    """(A, K) every item with the same chance."""
    return np.full((count_items, count_positions), 1.0 / count_items)


def averaged(log: Log, count_items: int, count_positions: int) -> Doubles:
    """(A, K) the log's mean policy: logged propensities, each weighted by its inverse, in columns that sum to 1.

    A row is in the log with its propensity, so the plain mean of logged propensities is far too high (columns sum to
    2 to 3.7). Weighted by 1/propensity it is n / sum(1/propensity), the harmonic mean. A pair that was never logged has
    no propensity and gets chance 0: the answer is for a policy that never shows it.
    """
    shape = (count_items, count_positions)
    shown, inverse = np.zeros(shape), np.zeros(shape)
    np.add.at(shown, (log.items, log.positions), 1.0)
    np.add.at(inverse, (log.items, log.positions), 1.0 / log.propensities)
    mean = np.divide(shown, inverse, out=np.zeros(shape), where=inverse > 0.0)
    if not (mean.sum(axis=0) > 0.0).all():
        empty = int(np.flatnonzero(mean.sum(axis=0) == 0.0)[0])
        raise problem("bts/position", f"no row in position {empty + 1} of {count_positions}", "rows in every position")
    averages: Doubles = mean / mean.sum(axis=0)
    return averages


def unlogged_pairs(log: Log, count_items: int, count_positions: int) -> int:
    """The number of (item, position) pairs that the log never shows."""
    return count_items * count_positions - len(np.unique(log.items * count_positions + log.positions))


def starting(prior: Prior, campaign: str, count_items: int, count_positions: int) -> Doubles:
    """(A, K) shares of the K best of A Beta draws, over DRAWS draws in the order of the published run."""
    if campaign not in prior:
        raise problem("--prior", sorted(prior), f"parameters of campaign {campaign}")
    alpha, beta = prior[campaign]["alpha"], prior[campaign]["beta"]
    if len(alpha) != count_items or len(beta) != count_items:
        raise problem(f"--prior/{campaign}", f"{len(alpha)} alphas, {len(beta)} betas", f"{count_items} of each")
    rng = np.random.RandomState(PUBLISHED_SEED)
    counts = np.zeros((count_items, count_positions))
    for _ in range(0, DRAWS, CHUNK):
        drawn = rng.beta(alpha, beta, size=(CHUNK, count_items))
        ranked = np.argsort(drawn, axis=1)[:, ::-1][:, :count_positions]  # (n, K)
        counts += np.stack([np.bincount(column, minlength=count_items) for column in ranked.T], axis=1)
    return counts / DRAWS


def read_prior(path: Path) -> Prior:
    """The Beta parameters of every campaign, from obp's wheel or from its prior_bts.yaml."""
    if not path.is_file():
        raise NotFound(f"{path} does not exist")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            if PRIOR_FILE not in wheel.namelist():
                raise problem(path.name, "a wheel without it", PRIOR_FILE)
            text = wheel.read(PRIOR_FILE).decode()
    else:
        text = path.read_text(encoding="utf-8", errors="replace")
    found: dict[str, dict[str, list[float]]] = {}
    campaign = name = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.fullmatch(r"(\w+):\s*", line):
            campaign = match[1]
        elif (match := re.fullmatch(r"\s+(alpha|beta):\s*", line)) and campaign:
            name = match[1]
        elif (match := re.fullmatch(r"\s*-\s*([0-9.eE+]+)\s*", line)) and name and float(match[1]) > 0.0:
            found.setdefault(campaign, {}).setdefault(name, []).append(float(match[1]))
        elif line.strip():
            raise problem(
                f"{path.name}, line {number}", line, "campaign, then alpha and beta, each a list of numbers > 0"
            )
    if not found or not all({"alpha", "beta"} <= set(parts) for parts in found.values()):
        raise problem(path.name, sorted(found), "alpha and beta of at least one campaign")
    return {key: {part: np.array(values) for part, values in parts.items()} for key, parts in found.items()}
