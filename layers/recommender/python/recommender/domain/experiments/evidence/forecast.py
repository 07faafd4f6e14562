"""Is there enough traffic? How many days a given lift takes to decide, and when the honest answer is "too small".

The analysis itself is run on simulated evidence in its normal limit: scores h ~ N(H d, H), H = n (diag w - w w') / D
for n matured clicks, weights w and design effect D, one challenger better by the same lift in every placement. The
posterior and the boundary are the real ones, so pooling over placements, its learned spread and its shrinkage are in
the answer. What standardising by the calendar costs enters as the share q of the information that is left.
Letters: R replicates, P placements, K variants, C = K - 1 contrasts, L looks.

Days so far, and how many a decision would take at the traffic seen so far.

Decisions: docs/decisions/experiments-operation.md (128).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommender.domain.experiments.evidence.allocation import boundary_at, z_scores
from recommender.domain.experiments.evidence.analysis import Look
from recommender.domain.experiments.evidence.posterior import Evidence, pool, standard_calendar
from recommender.domain.experiments.running.config import ExperimentConfig
from recommender.domain.experiments.running.design import Design, constant_for
from recommender.domain.models.arrays import Doubles

Flags = NDArray[np.bool_]

LIFTS: Final = (0.05, 0.075, 0.10)
REPLICATES: Final = 200  # of each lift; the standard error of a share is at most 3.5 points
ENOUGH: Final = 0.8  # probability of shipping a better variant that is called enough
SEED: Final = 20_261_123
# Where nothing is calibrated for a design: constants of 12 placements and 4 variants, and what one placement adds.
USUAL_CONSTANT: Final[Mapping[str, float]] = {"week": 2.05, "day": 2.22, "once": 1.66}
NOT_POOLED: Final = 0.35


@dataclass(frozen=True, slots=True)
class Traffic:
    """The expected traffic outside of the hold-out."""

    daily_clicks: Mapping[str, float]  # by placement
    design_effect: float = 1.0  # that many exposures are worth one of a shopper of their own

    @property
    def placements(self) -> tuple[str, ...]:
        """In their order."""
        return tuple(self.daily_clicks)


@dataclass(frozen=True, slots=True)
class LiftForecast:
    """When an experiment with this true lift of one challenger ships it in a placement (mean over placements)."""

    lift: float
    shipped_by: Mapping[int, float]  # look day -> probability of having shipped until then

    @property
    def power(self) -> float:
        """Probability of having shipped the better variant by the last look."""
        return max(self.shipped_by.values())

    @property
    def median_days(self) -> int | None:
        """The look by which half of the placements have shipped; None where that never happens."""
        return next((day for day, share in self.shipped_by.items() if share >= 0.5), None)

    def to_json(self) -> dict[str, Any]:
        """JSON values; shares are 0..1."""
        shipped = [{"day": day, "probability": round(share, 3)} for day, share in self.shipped_by.items()]
        return {"lift": self.lift, "median_days": self.median_days, "power": round(self.power, 3), "shipped": shipped}


def forecast(
    traffic: Traffic, design: Design, *, variants: int, lifts: Sequence[float] = LIFTS, replicates: int = REPLICATES
) -> list[LiftForecast]:
    """One forecast a lift; the same input gives the same numbers."""
    return [_of_lift(traffic, design, variants, lift, replicates) for lift in lifts]


def forecast_of(traffic: Traffic, design: Design, *, variants: int, replicates: int = REPLICATES) -> dict[str, Any]:
    """The forecast as JSON values: median days by lift, the power to ship at all, and the answer in words."""
    found = forecast(traffic, design, variants=variants, replicates=replicates)
    verdict, sentence = answer(found, design)
    return {
        "method": "simulated",
        "verdict": verdict,
        "sentence": sentence,
        "expected_days": {name_of(one.lift): one.median_days for one in found},
        "power": {name_of(one.lift): round(one.power, 3) for one in found},
        "lifts": [one.to_json() for one in found],
    }


def answer(found: Sequence[LiftForecast], design: Design) -> tuple[str, str]:
    """Return (`enough`, `large_lifts_only` or `too_small`, and its sentence)."""
    decisive = [one for one in found if one.power >= ENOUGH]
    until = f"by day {design.last_day}"
    if not decisive:
        best = found[-1]
        return "too_small", (
            f"Too small to decide: even a lift of {name_of(best.lift)} would be shipped {until} with a probability of "
            f"{best.power:.0%} only. More placements, more traffic, fewer variants or more days are needed."
        )
    smallest = decisive[0]
    days = f"half of the placements by day {smallest.median_days}"
    if smallest is found[0]:
        return (
            "enough",
            f"Enough traffic: a lift of {name_of(smallest.lift)} is shipped {until} in {smallest.power:.0%}, {days}.",
        )
    missed = ", ".join(f"{name_of(one.lift)} in {one.power:.0%}" for one in found if one.power < ENOUGH)
    return "large_lifts_only", (
        f"Enough traffic for lifts from {name_of(smallest.lift)} on, shipped {until} in {smallest.power:.0%}, {days}; "
        f"too small to decide below that: {missed}."
    )


def name_of(lift: float) -> str:
    """0.075 is "+7.5 %"."""
    return f"{100 * lift:+.3g} %"


def constant_of(design: Design, *, placements: int, variants: int) -> tuple[float, bool]:
    """The boundary's constant and whether it was calibrated; else an estimate on the safe side.

    Fewer placements are pooled less. More challengers are more chances to be wrong: Bonferroni at most, and two thirds
    of it where there are fewer, as null experiments show.
    """
    known = constant_for(design, placements=placements, variants=variants)
    if known is not None:
        return known, True
    usual = USUAL_CONSTANT["once" if design.time_box_days else design.looks]
    apart = NOT_POOLED * (1 - math.log(min(placements, 12)) / math.log(12))
    quantile = NormalDist().inv_cdf
    stricter = quantile(1 - design.error_share / (variants - 1)) - quantile(1 - 0.025 / 3)
    return usual + apart + (stricter if stricter > 0 else 0.65 * stricter), False


def _of_lift(traffic: Traffic, design: Design, variants: int, lift: float, replicates: int) -> LiftForecast:
    rng = np.random.default_rng(SEED)
    truth = np.zeros(variants - 1)
    truth[0] = math.log1p(lift)
    clicks = np.array(list(traffic.daily_clicks.values())) / traffic.design_effect  # (P,)
    shares = _daily_shares(design, variants, float(truth[0]), float(clicks.sum()))
    daily = np.array([clicks[:, None, None] * _contrasts(share) for share in shares])  # (T, P, C, C)
    noise = np.zeros((replicates, len(clicks), variants - 1))  # (R, P, C) h - H d
    undecided, shipped = np.ones(noise.shape[:2], bool), np.zeros(noise.shape[:2], bool)
    constant, _ = constant_of(design, placements=len(clicks), variants=variants)
    shipped_by: dict[int, float] = {}
    seen = design.drop_days
    for day in design.look_days:
        until = day - design.maturation_days
        if until > seen:
            noise += _noise(rng, daily[seen:until].sum(axis=0), replicates)
            seen = until
        if undecided.any():
            ready, right = _ships(design, constant, day, daily[design.drop_days : until], noise, truth)
            shipped |= undecided & ready & right
            undecided &= np.logical_not(ready)
        shipped_by[day] = float(shipped.mean())
    return LiftForecast(lift, shipped_by)


def _noise(rng: np.random.Generator, gained: Doubles, replicates: int) -> Doubles:
    """N(0, H) for each placement (R, P, C), each draw with its mirror image."""
    half = rng.standard_normal((replicates // 2, *gained.shape[:2]))
    normal = np.concatenate([half, -half])
    return np.asarray((np.linalg.cholesky(gained) @ normal[..., None])[..., 0])


def _ships(
    design: Design, constant: float, day: int, daily: Doubles, noise: Doubles, truth: Doubles
) -> tuple[Flags, Flags]:
    """(R, P): is a decision due at this look, and is it for the first challenger? `daily` (T, P, C, C) until now."""
    left = _left_by_calendar(design, daily) if design.standardised else 1.0
    information = daily.sum(axis=0)  # (P, C, C)
    score = left * (truth @ information + noise / math.sqrt(left))  # (R, P, C): d_hat with variance 1 / (q H)
    spread = np.broadcast_to(left * information, (*score.shape, score.shape[-1]))  # (R, P, C, C)
    found = pool(Evidence(spread[..., None, :, :], score[..., None, :]))
    z = z_scores(found.mean, found.covariance)
    leads = found.mean.argmax(axis=-1) == 0
    if design.rule == "claim":
        return z.max(axis=-1) >= boundary_at(design, constant, day), leads
    return _loss_of_best(found.mean, found.covariance) < design.expected_loss, leads & (z[..., 0] > 0)


def _left_by_calendar(design: Design, daily: Doubles) -> float:
    """q: the variance of the pooled lift without the calendar's effects over that with them, where no lift differs."""
    information = np.swapaxes(daily, 0, 1)  # (P, T, C, C)
    nothing = Evidence(information, np.zeros(information.shape[:-1]))
    days = range(design.drop_days, design.drop_days + len(daily))
    standard = pool(nothing, calendar=standard_calendar([float(day) for day in days]), taus=(0.0,))
    return float(pool(nothing, taus=(0.0,)).pooled_covariance[0, 0] / standard.pooled_covariance[0, 0])


def _loss_of_best(mean: Doubles, covariance: Doubles) -> Doubles:
    """(R, P): the largest E[(d_j - d_best)+] over rivals j: a lower bound of the expected loss, close where one leads.

    For x ~ N(m, s): E[x+] = s phi(m/s) + m Phi(m/s). The control stands at 0.
    """
    with_control = np.concatenate([np.zeros_like(mean[..., :1]), mean], axis=-1)  # (R, P, K)
    size = mean.shape[-1] + 1
    whole = np.zeros((*mean.shape[:-1], size, size))
    whole[..., 1:, 1:] = covariance
    best = with_control.argmax(axis=-1)[..., None]  # (R, P, 1)
    variance = np.diagonal(whole, axis1=-2, axis2=-1)
    shared = np.take_along_axis(whole, best[..., None], axis=-2)[..., 0, :]
    sd = np.sqrt(np.maximum(variance + np.take_along_axis(variance, best, -1) - 2 * shared, 1e-18))
    gap = (with_control - np.take_along_axis(with_control, best, -1)) / sd
    loss = sd * (np.exp(-gap * gap / 2) / math.sqrt(2 * math.pi) + gap * _below(gap))
    np.put_along_axis(loss, best, 0.0, axis=-1)
    return np.asarray(loss.max(axis=-1))


def _daily_shares(design: Design, variants: int, effect: float, daily_clicks: float) -> list[Doubles]:
    """Traffic shares (K,) of each day: equal until clicks have matured, then as allocation moves them on average."""
    equal = np.full(variants, 1 / variants)
    shares: list[Doubles] = []
    information = 0.0  # of one contrast, over all placements
    age = max(design.maturation_days, 1)  # clicks that mature at once are known on the next day
    for day in range(design.last_day):
        if day >= age:
            lead, control = shares[day - age][[1, 0]]
            information += daily_clicks * lead * control / (lead + control)
        shares.append(_moved(design.allocation, equal, effect * math.sqrt(information)) if information else equal)
    return shares


def _moved(allocation: str, equal: Doubles, z: float) -> Doubles:
    """The mean allocation where the leader stands z standard errors above all others, who are alike."""
    others = len(equal) - 1
    best = max(float(_below(np.array(z / math.sqrt(2)))) ** others, 1 / len(equal))
    second = (1 - best) / others
    wanted = np.full(len(equal), (1 - best) / others)
    wanted[1] = best
    if allocation == "top_two":
        wanted = np.full(len(equal), ((1 - best) / others + (1 - second) / others) / 2)
        wanted[1] = (best + second) / 2
        wanted[0] = wanted.max()
    return np.asarray(wanted / wanted.sum())


def _contrasts(shares: Doubles) -> Doubles:
    """Information of one click about the contrasts with the control: diag w - w w' without the control (C, C)."""
    return np.asarray(np.diag(shares[1:]) - np.outer(shares[1:], shares[1:]))


def _below(z: Doubles) -> Doubles:
    """The normal distribution function."""
    return np.asarray(0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))))


LEAST_DAYS: Final = 1.0  # less than a day is no measure of a day's traffic
LEAST_CLICKS: Final = 100
PACE_REPLICATES: Final = 100  # the report is computed while somebody waits


def pace(config: ExperimentConfig, found: Look) -> dict[str, Any] | None:
    """The forecast from clicks per day and design effect as counted; None while there are too few, or for a canary."""
    clicks = found.counts.clicks.sum(axis=(1, 2, 3))  # (P,)
    if config.mode == "canary" or found.day < LEAST_DAYS or clicks.sum() < LEAST_CLICKS:
        return None
    daily = {name: max(float(count), 1.0) / found.day for name, count in zip(config.placements, clicks, strict=True)}
    traffic = Traffic(daily, design_effect=found.design_effect)
    expected = forecast_of(traffic, config.design, variants=len(config.variants), replicates=PACE_REPLICATES)
    return {"days_so_far": round(found.day, 3), **expected}
