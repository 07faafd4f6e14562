"""Is anything else paid for the clicks? Trade against the hold-out, serving time and complete answers by variant.

Trade: ratio of sums of the treated over the hold-out; delete-one-bucket jackknife of its logarithm over the 64
buckets of visitors, so that a shopper who comes back often is one shopper. Variants: Mantel-Haenszel ratio over
placements and epochs, in which neither a slow day nor moving weights favour a side; jackknife over the counter shards.
Letters: G groups (hold-out first), B buckets, M sums, P placements, T epochs, K variants (control first), S shards.

Decisions: docs/decisions/experiments-operation.md (132).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from recommender.contracts.tables import COUNTER_SHARDS, VISITOR_BUCKETS
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.experiments.running.counts import HOLDOUT, CellCount
from recommender.domain.experiments.running.shop_counts import SUMS, TREATED, ShopCount
from recommender.domain.models.arrays import Doubles

LEAST_ORDERS: Final = 30  # in the hold-out: below, the jackknife of a logarithm means nothing
KILL_ORDERS: Final = 200  # in the hold-out: below, no experiment is ended for its trade
LEAST_EXPOSURES: Final = 1000  # of the variant and of the control
LEAST_SLOWER_MS: Final = 20  # nobody notices less, whatever the ratio
# Student's t at 97.5 %, and at 99.9 % for what ends an experiment by itself, since it is looked at every epoch.
T_BUCKETS: Final = (1.9983, 3.2247)  # 63 degrees of freedom
T_SHARDS: Final = (2.3646, 4.7853)  # 7 degrees of freedom


@dataclass(frozen=True, slots=True)
class Limit:
    """A ratio that is watched. `worst` is where harm begins: below it, or above it where `worst` > 1."""

    name: str
    words: str
    unit: str
    over: str  # ratio of these sums
    under: str
    worst: float
    kills: bool  # a clear breach ends what caused it


SHOP_LIMITS: Final = (
    Limit("revenue_per_session", "Revenue per session", "cents", "revenue_cents", "sessions", 0.9, True),
    Limit("orders_per_session", "Orders per session", "orders", "orders", "sessions", 0.9, True),
    Limit("margin_per_session", "Margin per session", "cents", "margin_cents", "sessions", 0.9, True),
    Limit("order_value", "Order value", "cents", "revenue_cents", "orders", 0.9, False),
    Limit("units_per_order", "Units per order", "units", "units", "orders", 0.9, False),
)
SERVING_MS: Final = Limit("serving_ms", "Serving time", "ms", "served_ms", "exposures", 1.25, True)
COMPLETE: Final = Limit("complete_answers", "Share of complete answers", "share", "complete", "exposures", 0.99, True)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One finding. `ratio` is (value, low, high) at 95 %, None where there is too little to divide."""

    name: str
    unit: str
    treated: float | None
    holdout: float | None  # of a variant's guardrail: its control
    ratio: tuple[float, float, float] | None
    state: str  # ok: harm is excluded; watch: worse; breach: harm is certain; too_early: nothing is
    sentence: str
    variant: str | None = None
    kills: bool = False  # so clear that it ends the experiment, or the variant


def guardrails(config: ExperimentConfig, sums: Iterable[ShopCount]) -> list[Guardrail]:
    """The trade of everybody outside of the hold-out against that of the hold-out, for each of SHOP_LIMITS."""
    if not config.holdout_share:
        return []
    totals = _by_bucket(sums)  # (G, B, M)
    holdout_orders = int(totals[0, :, SUMS.index("orders")].sum())
    return [_shop_guardrail(limit, totals, holdout_orders) for limit in SHOP_LIMITS]


def variant_guardrails(config: ExperimentConfig, cells: Iterable[CellCount]) -> list[Guardrail]:
    """Serving time and complete answers of each challenger against the control of the same placements and epochs."""
    exposures, served_ms, complete = _by_stratum(config, cells)  # (P, T, K, S) each
    return [
        _variant_guardrail(limit, name, values[:, :, [0, k]], exposures[:, :, [0, k]])
        for limit, values in ((SERVING_MS, served_ms), (COMPLETE, complete))
        if values[:, :, 0].any()  # a token of an older version knows nothing of serving time
        for k, name in enumerate(config.variants)
        if k
    ]


def kills(config: ExperimentConfig, found: Iterable[Guardrail]) -> list[str]:
    """Return the kill flags that follow from these findings: the experiment, or a variant of it."""
    name = config.experiment_id
    return sorted({f"{name}/{one.variant}" if one.variant else name for one in found if one.kills})


def guardrail_to_json(found: Guardrail) -> dict[str, Any]:
    """The finding as JSON values; `variant` only where it is about one."""
    ratio = None if found.ratio is None else dict(zip(("value", "low", "high"), found.ratio, strict=True))
    body = {
        "name": found.name,
        "unit": found.unit,
        "treated": found.treated,
        "holdout": found.holdout,
        "ratio": ratio,
        "state": found.state,
        "sentence": found.sentence,
        "kills": found.kills,
    }
    return body if found.variant is None else {**body, "variant": found.variant}


def _shop_guardrail(limit: Limit, totals: Doubles, holdout_orders: int) -> Guardrail:
    over, under = totals[:, :, SUMS.index(limit.over)], totals[:, :, SUMS.index(limit.under)]  # (G, B)
    estimate = _jackknife(_log_ratio, over, under, t_quantiles=T_BUCKETS)
    if holdout_orders < LEAST_ORDERS:
        reason = f"{holdout_orders} orders in the hold-out, at least {LEAST_ORDERS} are needed for a verdict"
        return _finding(limit, over.sum(axis=1), under.sum(axis=1), None, reason)
    found = _finding(limit, over.sum(axis=1), under.sum(axis=1), estimate, "nothing to compare yet")
    return found if holdout_orders >= KILL_ORDERS else replace(found, kills=False)


def _variant_guardrail(limit: Limit, variant: str, values: Doubles, exposures: Doubles) -> Guardrail:
    """`values` and `exposures` are (P, T, 2, S): the control and the variant."""
    over, under = values.sum(axis=(0, 1, 3)), exposures.sum(axis=(0, 1, 3))  # (2,)
    if under.min() < LEAST_EXPOSURES:
        return _finding(limit, over, under, None, f"fewer than {LEAST_EXPOSURES} exposures of a side", variant)
    least = 1 + LEAST_SLOWER_MS * float(under[0] / over[0])
    worst = max(limit.worst, least) if limit.worst > 1 else limit.worst
    estimate = _jackknife(_log_mantel_haenszel, values, exposures, t_quantiles=T_SHARDS)
    return _finding(limit, over, under, estimate, "nothing to compare yet", variant, worst)


def _finding(
    limit: Limit,
    over: Doubles,  # (2,): the hold-out or control, and the treated
    under: Doubles,
    estimate: tuple[float, float, float] | None,  # log ratio and its half widths at 95 % and for a kill
    missing: str,
    variant: str | None = None,
    worst: float | None = None,
) -> Guardrail:
    worst = worst or limit.worst
    base, treated = (float(round(o / u, 6)) if u > 0 else None for o, u in zip(over, under, strict=True))
    if estimate is None:
        return Guardrail(
            limit.name, limit.unit, treated, base, None, "too_early", f"{limit.words}: {missing}.", variant
        )
    centre, half, kill_half = estimate
    value, low, high = (round(math.exp(centre + side * half), 6) for side in (0, -1, 1))
    state = _state(low, high, worst)
    is_clear = math.exp(centre + kill_half) < worst if worst < 1 else math.exp(centre - kill_half) > worst
    beside = "the control" if variant else "the hold-out"
    change = f"{value - 1:+.1%} against {beside} ({low - 1:+.1%} to {high - 1:+.1%})"
    sentence = f"{limit.words}: {change}; {_words(state, worst)}."
    ratio = (value, low, high)
    return Guardrail(limit.name, limit.unit, treated, base, ratio, state, sentence, variant, limit.kills and is_clear)


def _state(low: float, high: float, worst: float) -> str:
    if worst > 1:  # more is worse: the same, mirrored
        low, high, worst = 1 / high, 1 / low, 1 / worst
    if high < worst:
        return "breach"
    if high < 1:
        return "watch"
    return "ok" if low > worst else "too_early"


def _words(state: str, worst: float) -> str:
    harm = f"a change beyond {worst - 1:+.0%}"
    return {
        "ok": f"{harm} is excluded",
        "watch": "it is worse",
        "breach": f"{harm} is certain",
        "too_early": f"{harm} is not yet excluded",
    }[state]


def _jackknife(
    log_ratio: Callable[[Doubles, Doubles], float], over: Doubles, under: Doubles, *, t_quantiles: tuple[float, float]
) -> tuple[float, float, float] | None:
    """The log ratio and its half widths: variance (B - 1) / B * sum_b (θ_-b - mean θ_-b)^2 over the last axis.

    Efron and Stein 1981. None where the ratio, or one without a group, does not exist.
    """
    groups = over.shape[-1]
    whole = log_ratio(over.sum(axis=-1), under.sum(axis=-1))
    rest = np.array(
        [log_ratio(over.sum(axis=-1) - over[..., b], under.sum(axis=-1) - under[..., b]) for b in range(groups)]
    )
    if not (math.isfinite(whole) and np.isfinite(rest).all()):
        return None
    error = math.sqrt((groups - 1) / groups * float(((rest - rest.mean()) ** 2).sum()))
    return whole, t_quantiles[0] * error, t_quantiles[1] * error


def _log_ratio(over: Doubles, under: Doubles) -> float:
    """log (o_1 / u_1) / (o_0 / u_0) of (2,) sums; not a number where one is not positive."""
    if min(over.min(), under.min()) <= 0:
        return math.nan
    return math.log(over[1] / under[1]) - math.log(over[0] / under[0])


def _log_mantel_haenszel(values: Doubles, exposures: Doubles) -> float:
    """log sum_l x_1 n_0 / (n_0 + n_1) / sum_l x_0 n_1 / (n_0 + n_1) over strata l; arrays (P, T, 2)."""
    both = np.maximum(exposures.sum(axis=-1), 1.0)  # (P, T)
    treated = float((values[..., 1] * exposures[..., 0] / both).sum())
    control = float((values[..., 0] * exposures[..., 1] / both).sum())
    return math.log(treated / control) if min(treated, control) > 0 else math.nan


def _by_bucket(sums: Iterable[ShopCount]) -> Doubles:
    """(G, B, M): the sums of the hold-out and of the treated in each bucket, over all days."""
    totals = np.zeros((2, VISITOR_BUCKETS, len(SUMS)))
    group: Mapping[str, int] = {HOLDOUT: 0, TREATED: 1}
    for count in sums:
        totals[group[count.group], count.bucket] += [getattr(count, name) for name in SUMS]
    return totals


def _by_stratum(config: ExperimentConfig, cells: Iterable[CellCount]) -> tuple[Doubles, Doubles, Doubles]:
    """Exposures, milliseconds and complete answers outside of the hold-out, (P, T, K, S) each."""
    place = {name: p for p, name in enumerate(config.placements)}
    variant = {name: k for k, name in enumerate(config.variants)}
    kept = [cell for cell in cells if cell.segment != HOLDOUT and cell.placement in place and cell.variant in variant]
    row = {epoch: t for t, epoch in enumerate(sorted({cell.epoch for cell in kept}))}
    shape = (len(place), len(row), len(variant), COUNTER_SHARDS)
    found = [(place[cell.placement], row[cell.epoch], variant[cell.variant], cell.shard) for cell in kept]
    at = np.ravel_multi_index(np.array(found, np.int64).reshape(-1, 4).T, shape) if kept else np.zeros(0, np.int64)

    def added(values: Iterable[int]) -> Doubles:
        sums = np.bincount(at, np.fromiter(values, np.float64, len(kept)), math.prod(shape))
        return sums.reshape(shape).astype(np.float64)

    exposures = added(cell.exposures for cell in kept)
    complete = exposures - added(cell.degraded for cell in kept)
    return exposures, added(cell.served_ms for cell in kept), complete
