"""What may be said of a canary: whether it loses too many clicks, and nothing about how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recommender.domain.experiments.findings import Findings, interval, share

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
    """What watching for a loss leaves open."""
    limit = share(found.config.loss_limit)
    return [
        "That the new bundle is better: a canary is watched for loss, no error of a claim is bounded.",
        f"That it loses nothing: a loss below {limit} may pass.",
    ]
