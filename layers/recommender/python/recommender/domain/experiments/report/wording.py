"""Headline and claims of an experiment, each sentence made from facts.

Under the rule `claim` a shipped variant may be called better, for that is what the calibrated boundary stands for.
Under `optimise` nothing may be claimed; the expected loss of what serves is stated.

Decisions: docs/decisions/experiments-report.md (136).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from recommender.domain.experiments.evidence.holdout import NO_LIFT
from recommender.domain.experiments.evidence.standing import Lift, Standing
from recommender.domain.experiments.report.caveats import canary_claims, canary_headline
from recommender.domain.experiments.report.findings import Findings, days, interval, listed, percent, placements, share

NAMED: Final = 3  # of more placements only the extreme lifts are spelled out
STATES: Final = {
    "draft": "Not started.",
    "paused": "Paused.",
    "killed": "Killed.",
    "promoted": "Promoted.",
    "rolled_back": "Rolled back.",
}


def headline(found: Findings) -> str:
    """Write one sentence on the experiment's state; simulated data are marked first."""
    is_killed = found.config.experiment_id in found.killed
    state = STATES.get("killed" if is_killed else found.config.status, "")
    return " ".join(
        part for part in ("Simulated shoppers." if found.is_simulated else "", state, _headline(found)) if part
    )


def may_claim(found: Findings) -> list[str]:
    """List the claims that these data support, strongest first; none before the first click or with a broken split."""
    if not found.clicks or found.is_withheld or found.config.mode == "canary":
        return []
    if found.config.design.rule == "optimise":
        return _costs(found)
    return [*_winners(found), *_kept(found)]


def so_far(found: Findings) -> list[str]:
    """List the current estimates; they claim nothing."""
    if not found.clicks or found.is_withheld:
        return []
    if found.config.mode == "canary":
        return [*canary_claims(found), *_against_holdout(found)]
    return [*_estimates(found), *_against_holdout(found)]


def _headline(found: Findings) -> str:
    config = found.config
    if found.is_off:
        everywhere = f"all {len(config.placements)} placements" if len(config.placements) > 1 else config.placements[0]
        return f"{config.control} serves {everywhere}."
    if found.is_withheld:
        return "Withheld: exposures do not match the weights, so nothing may be compared until the cause is found."
    if not found.exposures:
        return "Nothing has been shown yet: no exposure is counted."
    if not found.clicks:
        return f"No click yet in {found.exposures:,} exposures: nothing can be compared."
    if len(found.undecided) < len(config.placements):
        return _decided(found)
    if config.mode == "canary":
        return canary_headline(found)
    if not found.has_boundary and config.design.rule == "claim":
        return (
            f"Undecided on day {days(found.days)}, and bound to stay so: no boundary is calibrated for "
            f"{_total(found)} and {len(config.variants)} variants."
        )
    if found.is_too_small:
        return "Undecided, and too small to decide: even +10 % would take longer than registered."
    ahead = f": the next look is on day {days(found.next_look_day)}" if found.next_look_day is not None else ""
    return f"Undecided on day {days(found.days)}{ahead}."


def _decided(found: Findings) -> str:
    """Count the placements that each variant serves, or state that one serves all of them."""
    total, control = len(found.config.placements), found.config.control
    groups = _by_variant([*found.shipped, *found.by_hand])
    parts = [(variant, f"{variant} serves", group) for variant, group in groups]
    if found.kept:
        parts.append((control, f"{control} stays in", found.kept))
    if len(parts) == 1 and not found.undecided and not found.taken_off:
        return f"{parts[0][1]} {placements(parts[0][2], found.config)}."
    parts_shown = [f"{words} {len(group)}" for _, words, group in parts]
    if found.taken_off:
        killed = listed(dict.fromkeys(standing.killed for standing in found.taken_off))
        parts_shown.append(f"{control} serves {len(found.taken_off)} because of a kill ({killed})")
    waiting = len(found.undecided)
    still = [f"{waiting} {'are' if waiting > 1 else 'is'} still undecided"] if waiting else []
    return f"Of {total} placements, {', '.join([*parts_shown, *still])}."


def _winners(found: Findings) -> list[str]:
    """X is better than the control in P, for each variant and day of decision; then how that was decided."""
    proven = [standing for standing in found.shipped if standing.is_better]
    sentences = [
        f"{variant} is better than {found.config.control} in {_places_with_lifts(group, found)}; "
        f"decided on day {days(day)}."
        for (variant, day), group in _by_variant_and_day(proven)
    ]
    if not sentences:
        return []
    limits = sorted({round(standing.boundary or 0.0, 2) for standing in proven})
    limit = f"{limits[0]:.2f}" if len(limits) == 1 else f"{limits[0]:.2f} to {limits[-1]:.2f}, depending on the day"
    return [
        *sentences,
        f'Decided under the rule "claim": the evidence passed a calibrated boundary (z of {limit}), which variants '
        f"that equal the control pass in {share(found.config.design.error_share)} of placements. Each lift is the "
        "posterior median at that look with its 95 % interval, shrunk towards the other placements and no difference.",
    ]


def _kept(found: Findings) -> list[str]:
    if not found.kept:
        return []
    return [
        f"{found.config.control} stays in {placements(found.kept, found.config)}: no variant passed the boundary "
        f"by day {days(max(standing.day or 0.0 for standing in found.kept))}, or what could still be gained fell below "
        f"{share(found.config.design.futility_loss)} of clicks."
    ]


def _estimates(found: Findings) -> list[str]:
    """List each challenger's lift so far, and the lasting one where the design separates them."""
    lifts = zip(found.config.variants[1:], found.present_lifts, found.lifts, strict=True)
    shown = found.shown[1:] or [True] * len(found.lifts)
    return [
        _estimate(found, variant, present, lasting)
        for (variant, present, lasting), is_shown in zip(lifts, shown, strict=True)
        if is_shown
    ]


def _estimate(found: Findings, variant: str, present: Lift, lasting: Lift) -> str:
    so_far = (
        f"After {found.exposures:,} exposures in {_total(found)} the click rate of {variant} is estimated "
        f"{interval(present)} against {found.config.control}, averaged over placements, shrunk towards no difference, "
        "with repeat visits accounted for."
    )
    if not found.config.design.standardised:
        return f"{so_far} This is an estimate, not a verdict."
    return (
        f"{so_far} That is the average so far; the lift that is to last, without first days and weekdays, is estimated "
        f"{interval(lasting)}. Both are estimates, not verdicts."
    )


def _against_holdout(found: Findings) -> list[str]:
    lift = found.holdout_lift
    if lift is None:
        return []
    middle, low, high = (percent(lift[f"lift_{end}"] or 0.0) for end in ("median", "low", "high"))
    return [
        f"Visitors outside of the hold-out click {middle} against held-out visitors (95 % interval "
        f"{low} to {high}, robust to repeat visits): the whole experiment "
        "so far, exploration included."
    ]


def _costs(found: Findings) -> list[str]:
    """State the serving variant under `optimise`, and the expected cost of that choice."""
    return [
        f"{variant} serves {placements(group, found.config)} since day {days(day)}: choosing it costs an expected "
        f"{_range(standing.expected_loss or 0.0 for standing in group)} of clicks, below the registered "
        f"{share(found.config.design.expected_loss)}."
        for (variant, day), group in _by_variant_and_day([*found.shipped, *found.kept])
    ]


def _places_with_lifts(group: Sequence[Standing], found: Findings) -> str:
    """Each placement with its lift; of more than three the smallest and the largest."""
    if len(group) <= NAMED:
        return listed(f"{standing.placement} ({_lift(standing)})" for standing in group)
    ordered = sorted(group, key=lambda standing: standing.lift or NO_LIFT)
    low, high = ordered[0], ordered[-1]
    ends = (f"{percent((end.lift or NO_LIFT)[0])} ({end.placement}, {_ends(end)})" for end in (low, high))
    return f"{placements(group, found.config)}: lifts from {' to '.join(ends)}"


def _lift(standing: Standing) -> str:
    return f"{percent((standing.lift or NO_LIFT)[0])}, {_ends(standing)}"


def _ends(standing: Standing) -> str:
    _, low, high = standing.lift or NO_LIFT
    return f"95 % interval {percent(low)} to {percent(high)}"


def _total(found: Findings) -> str:
    count = len(found.config.placements)
    return f"{count} {'placements' if count > 1 else 'placement'}"


def _by_variant(found: Iterable[Standing]) -> list[tuple[str | None, list[Standing]]]:
    groups: dict[str | None, list[Standing]] = {}
    for standing in found:
        groups.setdefault(standing.variant, []).append(standing)
    return list(groups.items())


def _by_variant_and_day(found: Sequence[Standing]) -> list[tuple[tuple[str, float], list[Standing]]]:
    groups: dict[tuple[str, float], list[Standing]] = {}
    for standing in found:
        groups.setdefault((standing.variant or "", standing.day or 0.0), []).append(standing)
    return sorted(groups.items(), key=lambda group: group[0][1])


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    low, high = share(found[0]), share(found[-1])
    return low if low == high else f"{low} to {high}"
