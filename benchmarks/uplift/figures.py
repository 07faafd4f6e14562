"""The figures of simulated visits: rates and money of each policy, and ratios to the incumbent on the same shoppers.

Every figure is a ratio of two sums over shoppers; intervals are percentiles of a bootstrap over shoppers in which both
policies meet the same draws. Letters: S shoppers, Q quantities, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from recommender.contracts.placements import INCUMBENT
from recommender.domain.models.arrays import Doubles

from benchmarks.report import LABELS, Section
from benchmarks.uplift.visits import Outcome
from training_jobs.evaluate import plots
from training_jobs.evaluate.plots import number, title

LABEL: Final = "simulated"
QUANTITIES: Final = ("modules", "clicks", "orders", "items", "value_cents", "margin_cents", "from_modules", "visits")
FIGURES: Final[Mapping[str, tuple[str, str, str]]] = {  # name -> (above, below, label)
    "click_through": ("clicks", "modules", "click-through of modules seen"),
    "items_per_order": ("items", "orders", "items an order"),
    "order_value_cents": ("value_cents", "orders", "order value, cents"),
    "margin_per_order_cents": ("margin_cents", "orders", "margin an order, cents"),
    "orders_per_session": ("orders", "visits", "orders a session"),
    "value_per_session_cents": ("value_cents", "visits", "order value a session, cents"),
    "margin_per_session_cents": ("margin_cents", "visits", "margin a session, cents"),
    "items_from_modules_per_order": ("from_modules", "orders", "items an order that came from a module"),
}
RESAMPLES: Final = 2000
TAILS: Final = (2.5, 97.5)
PLACES: Final = 5


def figures(outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """Each figure of one policy with its interval."""
    sums = _table(outcomes)
    drawn = _drawn(len(sums), seed) @ sums  # (R, Q)
    return {name: _entry(_figure(sums.sum(axis=0)[None, :], name), _figure(drawn, name)) for name in FIGURES}


def against(outcomes: Sequence[Outcome], incumbent: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """Each figure of a policy over the incumbent's, on the same shoppers."""
    ours, theirs = _table(outcomes), _table(incumbent)
    counts = _drawn(len(ours), seed)
    found = {}
    for name in FIGURES:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = _figure(ours.sum(axis=0)[None, :], name) / _figure(theirs.sum(axis=0)[None, :], name)
            drawn = _figure(counts @ ours, name) / _figure(counts @ theirs, name)
        found[name] = _entry(value, drawn)
    return found


def sections(result: Mapping[str, Any]) -> list[Section]:
    """Two sections of the HTML page: every figure, and the ratios with plots."""
    policies, ratios = result["policies"], result["against_cohorts"]
    rows = [(FIGURES[name][2], *(_text(policies[policy][name]) for policy in policies)) for name in FIGURES]
    compared = [(FIGURES[name][2], *(_text(ratios[policy][name]) for policy in ratios)) for name in FIGURES]
    drawn = {
        f"{name}_ratio": plots.bars(
            {policy: found for policy in ratios if (found := number(ratios[policy][name]))},
            names=LABELS,
            heading=f"{FIGURES[name][2]}, over the incumbent's ({LABEL})",
        )
        for name in ("click_through", "order_value_cents", "margin_per_session_cents")
    }
    names = [title(LABELS, policy) for policy in policies]
    others = [title(LABELS, policy) for policy in policies if policy != INCUMBENT]
    return [
        Section("Over the incumbent", f"Same shoppers, same luck; {LABEL}.", ("", *others), compared, drawn),
        Section("Figures", f"With 95 % intervals over shoppers; {LABEL}.", ("", *names), rows),
    ]


def _table(outcomes: Sequence[Outcome]) -> Doubles:
    """(S, Q) the quantities of each shopper's visit."""
    return np.array(
        [[1.0 if name == "visits" else float(getattr(one, name)) for name in QUANTITIES] for one in outcomes]
    ).reshape(-1, len(QUANTITIES))


def _drawn(count: int, seed: int) -> Doubles:
    """(R, S) how often each shopper is drawn."""
    return np.random.default_rng([seed, 7]).poisson(1.0, (RESAMPLES, count)).astype(np.float64)


def _figure(sums: Doubles, name: str) -> Doubles:
    """(R,) of (R, Q) sums."""
    above, below, _ = FIGURES[name]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Doubles = sums[:, QUANTITIES.index(above)] / sums[:, QUANTITIES.index(below)]
    return ratio


def _entry(value: Doubles, drawn: Doubles) -> dict[str, float] | None:
    """{"value", "low", "high"}; null where there is nothing to divide by."""
    finite = drawn[np.isfinite(drawn)]
    if not np.isfinite(value[0]) or not len(finite):
        return None
    ends = (value[0], *np.percentile(finite, TAILS))
    return {name: round(float(end), PLACES) for name, end in zip(("value", "low", "high"), ends, strict=True)}


def _text(entry: Mapping[str, float] | None) -> str:
    if entry is None:
        return "–"
    digits = 0 if entry["value"] >= 100 else 4 if entry["value"] < 0.1 else 3
    return f"{entry['value']:.{digits}f} [{entry['low']:.{digits}f}, {entry['high']:.{digits}f}]"
