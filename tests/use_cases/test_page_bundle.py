"""A page of a canary: whole from one bundle, and counted only as what it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from recommender.adapters.memory.sources import MemoryBundles, MemorySnapshots
from recommender.contracts.answers import PageAnswer
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot, default_config, with_experiment
from recommender.domain.serving.attribution import Claims, verify

from tests.fakes.sources import MemoryCanaries
from tests.tiny_bundle import item_id, tiny_bundle
from tests.use_cases.serving import ALL_PLACEMENTS, SECRET, Serving

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CANARY = replace(
    default_config(NOW),
    experiment_id="exp_canary",
    variants=("hybrid", "canary"),
    mode="canary",
    bundle_id="tiny-2",
    holdout_share=0.0,
)


def serving(*weights: float, canary: ExperimentConfig = CANARY, loaded: str | None = "tiny-2") -> Serving:
    """A recommender with bundle tiny-1 in force and `loaded` beside it, the canary at these weights."""
    first = with_experiment(None, canary, NOW)
    snapshot = replace(first, weights={canary.experiment_id: dict.fromkeys(canary.placements, weights)})
    return Serving(
        bundles=MemoryBundles(tiny_bundle()),
        canaries=MemoryCanaries(None if loaded is None else tiny_bundle(bundle_id=loaded)),
        snapshots=MemorySnapshots(snapshot),
    )


def claims_of(answer: PageAnswer) -> dict[str, Claims]:
    """What each placement's token says."""
    shown = [placement for placement in answer.placements if placement.hidden_reason is None]
    return {placement.placement: verify(placement.attribution_token or "", SECRET) for placement in shown}


def test_a_page_of_the_canary_comes_from_its_bundle_and_its_tokens_say_so() -> None:
    answer = serving(0.0, 1.0).ask()

    assert (answer.model_version, answer.degraded) == ("tiny-2", False)
    for placement, claims in claims_of(answer).items():
        assert (claims.experiment, claims.variant, claims.propensity) == ("exp_canary", "canary", 1.0), placement
        assert claims.item_ids


def test_a_page_of_the_control_comes_from_the_bundle_in_force_and_is_counted() -> None:
    answer = serving(1.0, 0.0000001).ask()

    assert (answer.model_version, answer.degraded) == ("tiny-1", False)
    assert {claims.variant for claims in claims_of(answer).values()} == {"hybrid"}
    assert {claims.experiment for claims in claims_of(answer).values()} == {"exp_canary"}


def test_a_canary_that_is_decided_serves_on_until_it_is_promoted() -> None:
    answer = serving(0.0, 1.0, canary=replace(CANARY, status="decided")).ask("home_hero")

    assert (answer.model_version, answer.degraded) == ("tiny-2", False)


def test_over_visitors_whole_pages_are_split_by_the_weights() -> None:
    shop = serving(0.5, 0.5)
    pages = [shop.ask("home_hero", "pdp_similar", visitor_id=f"v{n}") for n in range(200)]

    for answer in pages:
        variants = {claims.variant for claims in claims_of(answer).values()}
        assert variants == ({"canary"} if answer.model_version == "tiny-2" else {"hybrid"})
    assert 70 <= sum(answer.model_version == "tiny-2" for answer in pages) <= 130  # 100 ± 4 standard errors of 7


@pytest.mark.parametrize("loaded", [None, "tiny-3"])
def test_without_its_bundle_the_one_in_force_serves_and_says_what_is_missing(loaded: str | None) -> None:
    answer = serving(0.0, 1.0, loaded=loaded).ask()

    assert (answer.model_version, answer.degraded_reason) == ("tiny-1", "canary_unavailable")
    assert {(claims.experiment, claims.variant) for claims in claims_of(answer).values()} == {("", "hybrid")}
    assert all(placement.items or placement.hidden_reason for placement in answer.placements)


def test_a_process_without_the_canary_counts_its_control_no_more_than_the_canary() -> None:
    answer = serving(1.0, 0.0000001, loaded=None).ask()

    assert not answer.degraded  # the page is the one that was asked for
    assert {claims.experiment for claims in claims_of(answer).values()} == {""}


def test_placements_outside_of_the_canary_go_along_with_its_page() -> None:
    part = replace(CANARY, placements=("home_hero",))

    answer = serving(0.0, 1.0, canary=part).ask("home_hero", "pdp_similar")

    claims = claims_of(answer)
    assert answer.model_version == "tiny-2"
    assert (claims["home_hero"].variant, claims["pdp_similar"].variant) == ("canary", "hybrid")
    assert (claims["home_hero"].experiment, claims["pdp_similar"].experiment) == ("exp_canary", "")


def test_a_control_on_a_page_of_the_canary_is_not_counted() -> None:
    shop = serving(0.0, 1.0)
    assert shop.snapshots.snapshot is not None
    shop.snapshots.snapshot = replace(shop.snapshots.snapshot, killed=frozenset({"exp_canary/home_hero"}))

    claims = claims_of(shop.ask("home_hero", "pdp_similar"))

    assert (claims["home_hero"].experiment, claims["home_hero"].variant) == ("", "hybrid")
    assert (claims["pdp_similar"].experiment, claims["pdp_similar"].variant) == ("exp_canary", "canary")


def off(snapshot: Snapshot, how: str) -> Snapshot:
    """The canary taken off the traffic."""
    if how == "paused":
        return replace(snapshot, configs=tuple(replace(config, status="paused") for config in snapshot.configs))
    if how == "gone":
        return replace(snapshot, configs=(), weights={})
    return replace(snapshot, killed=frozenset({how}))


@pytest.mark.parametrize("how", ["exp_canary", "exp_canary/canary", "paused", "gone"])
def test_the_bundle_is_let_go_of_as_soon_as_the_canary_is_off(how: str) -> None:
    shop = serving(0.0, 1.0)
    shop.ask()
    assert shop.canaries.bundle is not None and shop.snapshots.snapshot is not None
    shop.snapshots.snapshot = off(shop.snapshots.snapshot, how)

    answer = shop.ask("home_hero")

    assert (answer.model_version, answer.degraded) == ("tiny-1", False)
    assert claims_of(answer)["home_hero"].variant == "hybrid"
    assert shop.canaries.bundle is None


def test_a_snapshot_that_cannot_be_read_keeps_the_bundle() -> None:
    shop = serving(0.0, 1.0)
    shop.snapshots.snapshot = None

    answer = shop.ask("home_hero")

    assert (answer.model_version, answer.degraded_reason) == ("tiny-1", "experiments_unavailable")
    assert shop.canaries.bundle is not None


def test_with_no_bundle_in_force_a_canary_page_is_still_whole() -> None:
    shop = serving(0.0, 1.0)
    shop.bundles.bundle = None

    assert shop.ask("home_hero").model_version == "tiny-2"

    shop.canaries.bundle = None
    answer = shop.ask("home_hero")
    assert (answer.model_version, answer.degraded_reason) == (None, "canary_unavailable,bundle_unavailable")


def test_the_two_bundles_answer_each_with_its_own_items() -> None:
    shop = serving(0.0, 1.0)
    shop.canaries.bundle = tiny_bundle(
        bundle_id="tiny-2", fallback={placement: (item_id(3, 3),) for placement in ALL_PLACEMENTS}
    )
    shop.ranking = None

    (hero,) = shop.ask("home_hero").placements

    assert hero.items[0].item_id == item_id(3, 3)
