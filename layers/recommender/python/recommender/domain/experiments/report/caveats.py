"""Caveats of an experiment: the sentences that have to be quoted beside every claim.

What may be said of a canary: whether it loses too many clicks, and nothing about how good it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from recommender.domain.experiments.report.findings import Findings, days, interval, listed, percent, placements, share
from recommender.domain.experiments.running.design import WEEK_DAYS

Canary = Mapping[str, Any]  # `canary` of a stored look: canary.py


def canary_headline(found: Findings) -> str:
    """The state of the canary in words."""
    canary = found.canary
    if canary is None:
        return "The canary has begun: no epoch has ended yet."
    return {
        "watching": "The canary stays at its share: whether it loses too much is not known yet.",
        "rising": "The canary gets more traffic: it probably does no harm.",
        "ready": "The canary may be promoted: it probably does no harm.",
        "off": f"The canary was taken off: it probably loses more than {share(canary['loss_limit'])} of the clicks.",
    }[canary["state"]]


def canary_claims(found: Findings) -> list[str]:
    """The probability of a loss above the limit, with the lift it comes from."""
    canary = found.canary
    if canary is None:
        return []
    variant, limit = found.config.variants[1], share(canary["loss_limit"])
    return [
        f"The probability that {variant} loses more than {limit} of the clicks against {found.config.control} is "
        f"{share(round(canary['probability_of_loss'], 3))}; its click rate is estimated "
        f"{interval(canary['lift'])}, whole pages and repeat visits accounted for."
    ]


def canary_caveats(found: Findings) -> list[str]:
    """List the questions that watching for a loss leaves open."""
    limit = share(found.config.loss_limit)
    return [
        "That the new bundle is better: a canary is watched for loss, no error of a claim is bounded.",
        f"That it loses nothing: a loss below {limit} may pass.",
    ]


SPREAD_LIMIT: Final = 0.5  # probability that placements differ, above which one pooled figure hides too much
NOVELTY_LIMIT: Final = 0.5  # probability of a different start, above which the first days are named
INTERVAL: Final = "an interval that is looked at repeatedly is not a test at 5 %"


def may_not_claim(found: Findings) -> list[str]:
    """List the limits of these data, most serious first."""
    if found.config.mode == "canary":
        return [*_data(found), *canary_caveats(found), *_week(found), *_beyond_clicks(found)]
    return [*_data(found), *_decisions(found), *_sizes(found), *_week(found), *_novelty(found), *_beyond_clicks(found)]


def _data(found: Findings) -> Iterator[str]:
    if found.is_simulated:
        yield "Anything about real shoppers: these visits were simulated."
    if found.is_withheld:
        yield (
            "Any comparison: exposures do not match the weights "
            f"(sample-ratio mismatch, p = {found.split.anytime_p_value:.1g}); find the cause first."
        )
    elif found.split.left_out:
        count = len(found.split.left_out)
        yield (
            f"Anything about {count} epoch{'s' if count > 1 else ''} in which exposures did not match the weights: "
            "they are left out of whatever decides; totals hold them."
        )
    if not found.clicks:
        yield "Anything about click rates: no click has been counted yet."
    elif found.shown and not all(found.shown):
        yield f"Any lift yet: a variant or the control has fewer than {found.config.design.least_clicks} clicks."
    for flag in found.killed:
        yield f"Anything about {flag} from now on: it was killed, its counts end there."


def _decisions(found: Findings) -> Iterator[str]:
    design = found.config.design
    if design.rule == "optimise":
        yield (
            'That any variant is better than the control: the rule "optimise" serves what costs least in expectation '
            "and bounds no error."
        )
    elif not found.has_boundary:
        yield (
            "That a variant has won or lost: no stopping boundary has been calibrated for this number of placements "
            f"and variants, and {INTERVAL}."
        )
    elif found.undecided:
        ahead = f"the next is on day {days(found.next_look_day)}" if found.next_look_day is not None else "none is left"
        yield (
            f"That a variant has won or lost in {placements(found.undecided, found.config)}: no look has decided yet "
            f"({ahead}), and {INTERVAL}."
        )
    for gone in dict.fromkeys(tuple(gone) for gone in found.withdrawn.values()):
        where = [placement for placement, variants in found.withdrawn.items() if tuple(variants) == gone]
        yield (
            f"That {listed(gone)} will ship in {listed(where)} by itself: it was rolled back there, and no look "
            "decides for it again; a person may."
        )
    unsure = [standing for standing in found.shipped if standing.passed_boundary and not standing.is_better]
    if design.rule == "claim" and unsure:
        yield (
            f"That what was shipped in {placements(unsure, found.config)} is better: its evidence passed the boundary, "
            "and the 95 % interval of its lift holds zero."
        )
    if found.by_hand:
        yield f"That what serves {placements(found.by_hand, found.config)} is better: it was put there by hand."
    if design.rule == "claim" and found.shipped and len(found.config.variants) > 2:
        yield "That what was shipped is better than the other challengers: it was tested against the control only."
    if design.rule == "claim" and len(found.shipped) > 1:
        yield (
            f"That each of the {len(found.shipped)} shipped placements is right: the error of "
            f"{share(design.error_share)} holds for one placement, not for all together."
        )


def _sizes(found: Findings) -> Iterator[str]:
    if found.is_too_small:
        yield (
            "That waiting will settle it: this test is too small to decide at its traffic, even +10 % would take "
            "longer than registered."
        )
    if found.visible_lift is not None and (found.kept or found.undecided):
        unseen = listed(placements(part, found.config) for part in (found.kept, found.undecided) if part)
        yield (
            f"That variants are equal in {unseen}: a lift below about {percent(found.visible_lift)} is under what the "
            "test can see with these data."
        )
    if len(found.config.placements) > 1 and found.clicks:
        if found.probability_of_spread > SPREAD_LIMIT:
            yield (
                "That the pooled lift holds in each placement: placements probably differ "
                f"(probability {found.probability_of_spread:.2f}); read them one by one."
            )
        else:
            yield "That a placement's lift was measured there alone: it borrows from the other placements."


def _week(found: Findings) -> Iterator[str]:
    design = found.config.design
    if found.days < WEEK_DAYS and design.standardised and found.config.mode == "test":
        yield (
            f"Anything about days of the week that were not seen: the data cover {found.days:.1f} days; what the "
            "others may do widens the intervals, it was not observed."
        )
    elif found.days < WEEK_DAYS:
        yield f"Anything about a whole week: the data cover {found.days:.1f} days, and weekends may favour a variant."
    elif design.looks == "day" and not design.standardised and found.config.mode == "test":
        yield "That a lift holds on every day of the week: looks fall on any day, not on whole weeks."


def _novelty(found: Findings) -> Iterator[str]:
    design = found.config.design
    if found.novelty_probability > NOVELTY_LIMIT:
        yield (
            "That what was seen first will last: first days were probably different "
            f"(probability {found.novelty_probability:.2f}); the lifts here are what a model expects after them."
        )
    elif design.standardised:
        yield "That the lift lasts for months: novelty that fades within days is taken out, slower changes are not."
    elif design.drop_days:
        yield f"Anything about the first {design.drop_days} days: they carry novelty and are left out of every look."
    else:
        yield "That an early lift will last: the first days carry novelty and are not left out."


def _beyond_clicks(found: Findings) -> Iterator[str]:
    for guardrail in found.guardrails:
        if guardrail["state"] == "breach":
            yield f"That shipping does no harm: {guardrail['sentence']}"
    if found.guardrails:
        yield "That revenue, margin or order value rose: they are watched against the hold-out, not tested."
    else:
        yield "Anything about revenue, margin or order value: only exposures and clicks are counted here."
