"""Off-policy benchmark: what would another policy have been worth on this log, and can the log say so?

    recommender bench off-policy --logs DIR [--prior FILE] [--exposures FILE] [--seed S] [--out DIR]

--logs reads logs in the form of the Open Bandit Dataset and answers both directions (a prior_bts.yaml beside them is
taken for --prior); --exposures reads the product's own exposure log and answers "always this variant". Progress goes to
stderr; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.contracts.fields import problem
from recommender.domain.experiments.evidence.off_policy import (
    LARGEST_WEIGHT,
    LEAST_EFFECTIVE_ROWS,
    RewardLog,
    cross_fitted,
    evaluate,
    weights,
)
from recommender.domain.models.arrays import Doubles
from tqdm import tqdm

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.off_policy import data as off_policy_policies
from benchmarks.off_policy import exposures as off_policy_exposures
from benchmarks.off_policy.data import CAMPAIGNS, Campaign, Log, load
from benchmarks.off_policy.report import as_json, rounded, sections

PROTOCOL: Final = {
    "random_to_bts": "rows of the random log weighted to the bts policy; bts_to_random: the other way round",
    "ratio": "IPS over the click rate of the log it was computed from",
    "relative_error": "|estimate / click rate of the target's own log - 1|",
    "intervals": "95 %, bootstrap over rows (the logs have no visitor ids); those of dm tell its spread, not its bias",
    "reward_model": "ridge logistic regression of position, user features and item; 3 folds",
    "refused": f"effective rows below {LEAST_EFFECTIVE_ROWS:.0f} or a weight above {LARGEST_WEIGHT:.0f}",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)

    def asked() -> dict[str, Any]:
        if options.logs is None and options.exposures is None:
            raise problem("--logs", None, "a folder, or --exposures with a file")
        return run(options)

    return cli.answer(asked, options.out, sections=sections)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every evaluation that the options choose."""
    result: dict[str, Any] = {"benchmark": "off_policy", "protocol": PROTOCOL, "seeds": [options.seed]}
    if options.logs is not None:
        campaigns = load(options.logs, options.campaigns)
        beside = options.logs / Path(off_policy_policies.PRIOR_FILE).name
        source = options.prior or (beside if beside.is_file() else None)
        prior = off_policy_policies.read_prior(source) if source else None
        result |= logged_campaigns(campaigns, prior, seed=options.seed)
    if options.exposures is not None:
        exposures = off_policy_exposures.load(options.exposures)
        result["exposures"] = off_policy_exposures.values(exposures, seed=options.seed)
    return {**result, "machine": describe_machine()}


def logged_campaigns(
    campaigns: Sequence[Campaign], prior: off_policy_policies.Prior | None, *, seed: int
) -> dict[str, Any]:
    """Both directions of every campaign; with a prior also the answer from the logs alone."""
    averages = {one.name: off_policy_policies.averaged(one.bts, *_shape(one)) for one in campaigns}
    starts = (
        {one.name: off_policy_policies.starting(prior, one.name, *_shape(one)) for one in campaigns} if prior else {}
    )
    found: dict[str, Any] = {}
    alone: dict[str, Any] = {}
    for one in tqdm(campaigns, desc="campaigns", file=sys.stderr):
        forth = starts.get(one.name, averages[one.name])
        back = off_policy_policies.uniform(*_shape(one))
        found[one.name] = {
            "random_to_bts": direction(one.random, one.bts, forth, seed=seed),
            "bts_to_random": direction(one.bts, one.random, back, seed=seed),
        }
        if prior:
            alone[one.name] = {"random_to_bts": direction(one.random, one.bts, averages[one.name], seed=seed)}
    return {
        "bts_policy": "starting policy, simulated from the Beta parameters of --prior"
        if prior
        else "mean policy of the log, from its propensities alone",
        "campaigns": found,
        **({"from_logs_alone": alone} if alone else {}),
        "data": {one.name: _facts(one) for one in campaigns},
    }


def direction(source: Log, other: Log, policy: Doubles, *, seed: int) -> dict[str, Any]:
    """The value of `policy` (A, K) by the rows of `source`, beside the click rate of its own log."""
    rng = np.random.default_rng(seed)
    weight = weights(policy[source.items, source.positions], source.propensities)
    asked = RewardLog(source.context, source.items, source.clicks, policy.T[source.positions])
    found = evaluate(source.clicks, weight, rng=rng, fitted=cross_fitted(asked, rng=rng))
    shown = as_json(found, truth=other.rate)
    return {
        **shown,
        "ratio": rounded(found.estimates["ips"].value / source.rate) if source.rate else None,
        "relative_error": shown["ips"].get("relative_error"),
        "on_policy": rounded(other.rate),
    }


def _shape(one: Campaign) -> tuple[int, int]:
    return len(one.item_ids), one.count_positions


def _facts(one: Campaign) -> dict[str, Any]:
    return {
        "items": len(one.item_ids),
        "positions": one.count_positions,
        **{
            f"{name}_{fact}": value
            for name, log in (("random", one.random), ("bts", one.bts))
            for fact, value in (
                ("rows", len(log.clicks)),
                ("clicks", int(log.clicks.sum())),
                ("rate", rounded(log.rate)),
            )
        },
        "pairs_bts_never_logged": off_policy_policies.unlogged_pairs(one.bts, *_shape(one)),
    }


def _names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench off-policy", description=__doc__.split("\n")[0])
    parser.add_argument("--logs", type=Path, help="folder with random_<campaign>.parquet and bts_<campaign>.parquet")
    parser.add_argument(
        "--campaigns", type=_names, default=[], help=f"some of {','.join(CAMPAIGNS)}; all that exist if not given"
    )
    parser.add_argument("--prior", type=Path, help="obp's wheel or its prior_bts.yaml: the policy bts started with")
    parser.add_argument(
        "--exposures", type=Path, help="our exposure log: Parquet export or landed JSON lines, file or folder"
    )
    parser.add_argument("--seed", type=int, default=1, help="of folds and resamples")
    parser.add_argument("--out", type=Path, help="folder for the plot and the result")
    return parser


if __name__ == "__main__":
    sys.exit(main())
