"""Uplift benchmark, simulated: the same seeded shop under each policy of the product.

    recommender bench uplift [--shoppers N] [--seed S] [--out DIR]

A shop with known tastes records a past; the product's models are trained on it and serve visits in process, each policy
to the same shoppers with the same luck. How easily a module is clicked is fitted on visits of another seed, so that the
incumbent's modules are clicked 1.8 % of the time. Progress goes to stderr; the last line of stdout is one JSON object.
Nothing here was measured on live shoppers.

Decisions: docs/decisions/benchmarks.md (123).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from recommender.contracts.fields import problem
from recommender.contracts.placements import INCUMBENT
from recommender.domain.models.arrays import Doubles, Flags
from tqdm import tqdm

from benchmarks import cli
from benchmarks.cli import describe_machine
from benchmarks.uplift import visits as uplift_visits
from benchmarks.uplift.figures import LABEL, against, figures, sections
from benchmarks.uplift.history import POLICIES, Remembered, Server, record, shopper_id
from benchmarks.uplift.shop import Effort, Encode, Nature, People, Shop, Trained, encoded, found, people, train
from benchmarks.uplift.visits import Outcome, Visitor, chance_of, walk

TARGET_RATE: Final = 0.018  # of the incumbent's modules, clicked
FIRST_ROUND: Final = 4  # times fewer visits than the second: where people go depends a little on what they click
CALIBRATION_SEED: Final = 100_000  # added to the seed
FIRST_EASE: Final = -9.0
BEHAVIOUR: Final = (
    "SEEN_BY_PLACE", "SEEN_WITHIN", "BUYING_SHARE", "PLANNED", "PAGES", "CATEGORY_SHARE", "TAKEN", "TAKEN_AT_THE_TILL",
    "REPLACED", "PAID", "MOST_PAGES",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the JSON line, and return the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)

    def asked() -> dict[str, Any]:
        if options.shoppers < 10:
            raise problem("--shoppers", options.shoppers, "at least 10")
        if options.seed < 0:
            raise problem("--seed", options.seed, "0 or more")
        return run(options.shoppers, options.seed)

    return cli.answer(asked, options.out, sections=sections)


def run(
    shoppers: int,
    seed: int,
    *,
    nature: Nature | None = None,
    effort: Effort | None = None,
    encode: Encode = encoded,
) -> dict[str, Any]:
    """Found the shop, train, calibrate, and let every policy serve the same visits."""
    started = time.process_time()
    shop = found(nature or Nature(), seed)
    rng = np.random.default_rng([seed, 3])
    known, unknown = people(shop, shop.nature.shoppers, rng), people(shop, shoppers, rng)
    exports = record(shop, known, unknown, seed)
    lines, events = exports.purchases.height, exports.session_events.height
    cli.progress(f"{LABEL}: {lines} order lines, {events} events recorded; training")
    effort = effort or Effort()
    trained = train(exports, seed, effort, encode=encode)
    trained_seconds = time.process_time() - started
    ease, rate = calibrated(shop, known, trained, seed + CALIBRATION_SEED, visits=effort.calibration_visits)
    cli.progress(f"{LABEL}: incumbent's modules clicked {rate:.4f} of the time at ease {ease:.3f}")
    visitors = drawn_visitors(shop, known, unknown, trained, shoppers, np.random.default_rng([seed, 6]))
    outcomes = compare(shop, trained, visitors, seed=seed, ease=ease)
    is_known = np.array([visitor.shopper_id is not None for visitor in visitors])
    return {
        "benchmark": "uplift",
        "label": LABEL,
        "policies": {policy: figures(outcomes[policy], seed) for policy in POLICIES},
        "against_cohorts": _against_cohorts(outcomes, np.ones_like(is_known), seed),
        "by_history": {
            "known": _against_cohorts(outcomes, is_known, seed),
            "no_history": _against_cohorts(outcomes, ~is_known, seed),
        },
        "calibration": {"ease": round(ease, 4), "rate": round(rate, 5), "target": TARGET_RATE},
        "assumptions": {
            "shop": asdict(shop.nature),
            "visits": {name.lower(): getattr(uplift_visits, name) for name in BEHAVIOUR},
        },
        "data": {
            "shoppers": shoppers,
            "no_history": int((~is_known).sum()),
            "order_lines": lines,
            "events": events,
            "cohorts": len(trained.bundle.cohorts.names) - 1,
        },
        "seeds": [seed],
        "cost": {
            "cpu_seconds": round(time.process_time() - started, 1),
            "training_cpu_seconds": round(trained_seconds, 1),
        },
        "machine": describe_machine(),
    }


def drawn_visitors(
    shop: Shop, known: People, unknown: People, trained: Trained, count: int, rng: np.random.Generator
) -> list[Visitor]:
    """One visit each: the stated share by people without history, the others by distinct shoppers while they last."""
    without = round(count * shop.nature.no_history_share)
    rows = {item_id: row for row, item_id in enumerate(shop.item_ids)}
    nobody = np.zeros(shop.nature.items, np.bool_)
    strangers = rng.choice(len(unknown.attributes), without, replace=without > len(unknown.attributes))
    visitors = [Visitor(unknown.attraction[m], unknown.interest[m], nobody, None) for m in strangers]
    regulars = rng.choice(len(known.attributes), count - without, replace=count - without > len(known.attributes))
    for m in regulars:
        owned = nobody.copy()
        owned[[rows[item_id] for item_id in trained.shoppers[shopper_id(int(m))].history.item_ids]] = True
        visitors.append(Visitor(known.attraction[m], known.interest[m], owned, shopper_id(int(m))))
    return visitors


def compare(
    shop: Shop, trained: Trained, visitors: Sequence[Visitor], *, seed: int, ease: float
) -> Mapping[str, list[Outcome]]:
    """Every visit under every policy."""
    ranking = Remembered()
    servers = {policy: Server(shop, trained, policy, ranking) for policy in POLICIES}
    outcomes: dict[str, list[Outcome]] = {policy: [] for policy in POLICIES}
    for number, visitor in enumerate(tqdm(visitors, desc=f"visits, {LABEL}", file=sys.stderr)):
        for policy, server in servers.items():
            outcomes[policy].append(walk(shop, visitor, number, server, seed=seed, ease=ease))
        ranking.forget()
    return outcomes


def calibrated(shop: Shop, known: People, trained: Trained, seed: int, *, visits: int) -> tuple[float, float]:
    """(ease, rate): the log odds at which the incumbent's modules are clicked as often as they should be.

    The visits are of other people and other luck than those of the comparison.
    """
    rng = np.random.default_rng([seed, 3])
    strangers = people(shop, visits, rng)
    ranking = Remembered()
    server = Server(shop, trained, INCUMBENT, ranking)
    ease = FIRST_EASE
    for count in (max(visits // FIRST_ROUND, 1), visits):
        shown: list[Doubles] = []
        visitors = drawn_visitors(shop, known, strangers, trained, count, rng)
        for number, visitor in enumerate(tqdm(visitors, desc="calibration", file=sys.stderr)):
            shown += walk(shop, visitor, number, server, seed=seed, ease=ease, is_watched=True).looked_at
            ranking.forget()
        ease = ease_for(shown, TARGET_RATE)
    return ease, expected_rate(shown, ease)


def ease_for(shown: Sequence[Doubles], rate: float) -> float:
    """The ease at which modules with such wants, (N,) each, are clicked with the expected rate, by halving."""
    low, high = -30.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if expected_rate(shown, middle) < rate else (low, middle)
    return (low + high) / 2.0


def expected_rate(shown: Sequence[Doubles], ease: float) -> float:
    """Expected clicks a module of wants (N,): the eye goes on with SEEN_WITHIN, and stops at the first click."""
    longest = max(len(wants) for wants in shown)
    wants = np.array([np.pad(one, (0, longest - len(one)), constant_values=-np.inf) for one in shown])  # (M, N)
    chance = chance_of(ease + wants)
    going_on = (1.0 - chance[:, :-1]) * uplift_visits.SEEN_WITHIN
    reached = np.cumprod(np.hstack([np.ones((len(wants), 1)), going_on]), axis=1)
    return float((reached * chance).sum(axis=1).mean())


def _against_cohorts(outcomes: Mapping[str, Sequence[Outcome]], chosen: Flags, seed: int) -> dict[str, Any]:
    """Each policy against the incumbent, on the chosen visits."""
    visits = {policy: list(compress(found, chosen)) for policy, found in outcomes.items()}
    return {policy: against(visits[policy], visits[INCUMBENT], seed) for policy in POLICIES if policy != INCUMBENT}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender bench uplift", description=__doc__.split("\n")[0])
    parser.add_argument("--shoppers", type=int, default=2400, help="simulated shoppers, one visit each")
    parser.add_argument("--seed", type=int, default=1, help="of the shop, its past, the models and the visits")
    parser.add_argument("--out", type=Path, help="folder for the plots and the result")
    return parser


if __name__ == "__main__":
    sys.exit(main())
