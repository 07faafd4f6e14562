"""Choose the bundle that fills a page: the one in force, or the one that a canary tries out.

A page comes whole from one bundle, because its lists are made together. What a page cannot show as it was
assigned is not counted. Where the canary's bundle is not loaded, neither of the experiment's variants is
counted: a process that has only one of the two bundles would compare its own fate, not the bundles.

Whether the process answers, and whether it can answer well: bundle loaded, snapshot read.

Decisions: docs/decisions/experiments-operation.md (146).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from recommender.contracts.api import did_you_mean
from recommender.contracts.placements import CANARY
from recommender.domain.experiments.running.assignment import DEFAULT_VARIANT, Assignment, live_weights
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.models.bundle import Bundle
from recommender.errors import DependencyDown, NotFound
from recommender.ports import BundleSource, CanarySource, SnapshotSource

CANARY_UNAVAILABLE: Final = "canary_unavailable"  # the bundle in force serves and nothing is counted
BUNDLE_UNAVAILABLE: Final = "bundle_unavailable"  # the standby lists, the same for everybody
IN_FORCE: Final = ("running", "decided")  # decided for the canary, it has most of the traffic until it is promoted


@dataclass(frozen=True, slots=True)
class PageBundle:
    """The bundle of a page (None: there is none), the arms as they can be shown, and what was missing."""

    bundle: Bundle | None
    arms: list[Assignment]
    degradations: tuple[str, ...] = ()


def page_bundle(
    arms: Sequence[Assignment],
    snapshot: Snapshot | None,
    *,
    bundles: BundleSource | None,
    canaries: CanarySource | None,
) -> PageBundle:
    """Choose the bundle of a page with these arms; lets go of a canary's bundle that no experiment needs."""
    config = None if snapshot is None else canary_in_force(snapshot)
    if snapshot is not None and config is None and canaries is not None:
        canaries.release()
    candidate = None if config is None or canaries is None else _loaded(canaries, config.bundle_id)
    experiment_id = "" if config is None else config.experiment_id
    is_canary_page = any(arm.variant == CANARY for arm in arms)
    if candidate is not None and is_canary_page:
        shown = [arm if _is_shown(arm, experiment_id) else uncounted(arm) for arm in arms]
        return PageBundle(candidate, shown)
    if candidate is None and config is not None:
        arms = [uncounted(arm) if arm.experiment_id == experiment_id else arm for arm in arms]
    shown = [uncounted(arm) if arm.variant == CANARY else arm for arm in arms]
    missing = (CANARY_UNAVAILABLE,) if is_canary_page else ()
    try:
        if bundles is None:
            raise DependencyDown("no source of bundles")
        return PageBundle(bundles.current(), shown, missing)
    except DependencyDown:
        return PageBundle(None, shown, (*missing, BUNDLE_UNAVAILABLE))


def canary_in_force(snapshot: Snapshot) -> ExperimentConfig | None:
    """The first canary that has traffic, still tried out or decided; a process holds one bundle beside the current."""
    in_force = (config for config in snapshot.configs if config.mode == "canary" and config.status in IN_FORCE)
    return next((config for config in in_force if _has_traffic(snapshot, config)), None)


def uncounted(arm: Assignment) -> Assignment:
    """The arm as a placement without an experiment has it: served, and booked to nothing."""
    variant = DEFAULT_VARIANT if arm.variant == CANARY else arm.variant
    return replace(arm, experiment_id="", config_version=0, variant=variant, propensity=1.0, is_holdout=False)


def _has_traffic(snapshot: Snapshot, config: ExperimentConfig) -> bool:
    return any(live_weights(snapshot, config, placement)[1] > 0 for placement in config.placements)


def _is_shown(arm: Assignment, experiment_id: str) -> bool:
    """True where a page from the canary's bundle shows what the arm stands for.

    Its own experiment's control would come from the wrong bundle, and so would another canary.
    """
    return (arm.variant == CANARY) == (arm.experiment_id == experiment_id)


def _loaded(canaries: CanarySource, bundle_id: str) -> Bundle | None:
    try:
        return canaries.current(bundle_id)
    except DependencyDown:
        return None


def check_health(probe: str, *, bundles: BundleSource, snapshots: SnapshotSource) -> dict[str, Any]:
    """The body of a health probe; `ready` raises DependencyDown where bundle or snapshot is missing."""
    if probe == "live":
        return {"status": "live"}
    if probe != "ready":
        raise NotFound(did_you_mean(probe, ("live", "ready")), code="unknown_probe")
    snapshot = snapshots.current()
    if snapshot is None:
        raise DependencyDown("the experiments' snapshot was never read")
    bundle = bundles.current()
    return {"status": "ready", "model_version": bundle.bundle_id, "epoch": snapshot.epoch, "items": bundle.count_items}
