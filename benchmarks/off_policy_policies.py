"""The policies whose worth is asked: chances (A, K) of each item in each position, columns summing to 1.

`bts` (Bernoulli Thompson Sampling) moved while it logged: a pair's logged propensities differ by a factor of a hundred
within a week. Two readings of it are possible. `averaged` takes the log's own propensities: the mean policy of the
week. `starting` simulates the policy that the week began with from its Beta parameters, which the log does not hold;
they are published in the package obp, and the published figures are those of this policy.

    pip download obp==0.4.1 --no-deps      then --prior obp-0.4.1-py3-none-any.whl (or its prior_bts.yaml)
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from recommender.contracts.fields import problem
from recommender.domain.arrays import Doubles
from recommender.errors import NotFound

from benchmarks.off_policy_data import Log

PRIOR_FILE: Final = "obp/policy/conf/prior_bts.yaml"
DRAWS: Final = 100_000
PUBLISHED_SEED: Final = 12345  # of the published figures
CHUNK: Final = 10_000

Prior = Mapping[str, Mapping[str, Doubles]]  # campaign -> alpha, beta -> (A,)


def uniform(count_items: int, count_positions: int) -> Doubles:
    """Every item with the same chance."""
    return np.full((count_items, count_positions), 1.0 / count_items)


def averaged(log: Log, count_items: int, count_positions: int) -> Doubles:
    """The log's mean policy over its time: logged propensities, each weighted by its inverse, in columns that sum to 1.

    A row is in the log with its propensity, so the plain mean of logged propensities is far too high (columns sum to
    2 to 3.7). Weighted by 1/propensity it is n / sum(1/propensity), the harmonic mean. A pair that was never logged has
    no propensity: it gets chance 0, so the answer is for a policy that never shows it.
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
    """How many (item, position) pairs the log never shows."""
    return count_items * count_positions - len(np.unique(log.items * count_positions + log.positions))


def starting(prior: Prior, campaign: str, count_items: int, count_positions: int) -> Doubles:
    """Shares of the K best of A Beta draws in each position, over DRAWS draws in the order of the published run."""
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
