"""A policy is known everywhere or refused: the names of the contract are the names that can fill a list."""

from __future__ import annotations

from recommender.contracts.placements import CANARY, DEFAULT, FIRST_COMPARED, INCUMBENT, POLICIES
from recommender.domain.experiments.running.assignment import DEFAULT_VARIANT
from recommender.domain.serving.page import POLICY_LISTS

from benchmarks.uplift.history import POLICIES as SIMULATED
from warehouse.sources.synthetic_lists import SHARES

PAGE = "layers/recommender/python/recommender/domain/serving/page.py"
PLACEMENTS = "layers/recommender/python/recommender/contracts/placements.py"


def test_every_policy_has_a_list_and_every_list_a_policy() -> None:
    assert set(POLICY_LISTS) == {*POLICIES, CANARY}, f"make POLICY_LISTS of {PAGE} and POLICIES of {PLACEMENTS} agree"


def test_the_first_experiment_starts_from_the_incumbent_and_compares_known_policies() -> None:
    assert FIRST_COMPARED[0] == INCUMBENT
    assert set(FIRST_COMPARED) <= set(POLICIES), f"FIRST_COMPARED of {PLACEMENTS} names an unknown policy"
    assert DEFAULT_VARIANT in POLICIES


def test_placements_offer_known_policies() -> None:
    for placement in DEFAULT:
        assert set(placement.policies) <= set(POLICIES), f"{placement.placement_id} in {PLACEMENTS}"


def test_generated_logs_and_the_simulated_shop_know_every_policy() -> None:
    assert set(SHARES) == set(POLICIES), "give it a share in warehouse/sources/synthetic_lists.py"
    assert set(POLICIES) <= set(SIMULATED)
