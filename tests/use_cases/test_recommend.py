"""A page view is answered for whoever asks, adapts with the event it carries, and degrades by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recommender.adapters.memory.sources import MemoryOverrides, MemoryShoppers
from recommender.contracts.events import Accepted, parse_event
from recommender.domain.experiments.running.assignment import assign
from recommender.domain.experiments.running.config import NO_EXPERIMENTS, default_config, first_snapshot
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.attribution import verify
from recommender.domain.serving.ranking import Ranked
from recommender.domain.serving.standby import Standby, StandbyItem
from recommender.domain.serving.visit import Session
from recommender.errors import DependencyDown, NotFound
from recommender.ports import SessionState

from tests.fakes.sources import MemoryStandby
from tests.tiny_bundle import tiny_bundle
from tests.use_cases.serving import ALL_PLACEMENTS, HOUSEHOLD, NOW, SECRET, Serving, body, shown, view

GOLDEN = Path(__file__).parent.parent / "contracts" / "golden" / "recommendations.json"
STANDBY = Standby(
    {one: StandbyItem(one, one.upper(), "Letters", 100 * n) for n, one in enumerate("abcde", 1)}, {"home_hero": ("c",)}
)
EXPERIMENT = first_snapshot(default_config(NOW), NOW)


def known(user_id: str = "h1") -> dict[str, Any]:
    return {"user_id": user_id}


def test_a_bundle_that_has_answered_other_shoppers_answers_like_a_fresh_one() -> None:
    asked: list[dict[str, Any]] = [
        {},
        known(),
        {"events": [view("item-03-01"), view("item-03-02", "e2", "add_to_cart")], "page": {"type": "cart"}},
        {"page": {"type": "category", "category": "Dept 1"}},
        {"page": {"type": "search", "search_term": "item aisle 7"}, **known()},
    ]

    used = Serving()
    for _ in range(2):
        for changes in asked:
            answer, fresh = used.ask(**changes), Serving().ask(**changes)
            assert (answer.placements[0].items, shown(answer)) == (fresh.placements[0].items, shown(fresh))


def test_a_first_pageview_of_a_new_visitor_fills_every_placement_that_can_say_something_true() -> None:
    answer = Serving().ask()

    assert answer.personalization_level == "prior"
    assert [len(placement.items) for placement in answer.placements] == [8, 0, 8, 8, 8, 6, 0, 8, 0, 4, 6, 8]
    assert {placement.placement: placement.hidden_reason for placement in answer.placements if not placement.items} == {
        "home_continue": "no_history",
        "pdp_bought_together": "no_partners",
        "pdp_recently_viewed": "no_history",
    }
    assert not answer.degraded


def test_a_hidden_list_keeps_its_name_and_has_nothing_to_count() -> None:
    serving = Serving()
    serving.snapshots.snapshot = EXPERIMENT

    (hidden,) = serving.ask("home_continue").to_json()["placements"]

    assert (hidden["items"], hidden["attribution_token"], hidden["hidden_reason"]) == ([], None, "no_history")
    assert hidden["item_list_name"] == "Continue where you left off"
    assert hidden["experiment"]["id"] == "exp_default"


def test_a_list_is_named_by_what_fills_it() -> None:
    def names(**changes: Any) -> list[str | None]:
        answer = Serving().ask("home_hero", "category_top", "pdp_similar", **changes)
        return [placement.item_list_name for placement in answer.placements]

    nothing_known = ["Popular right now", "Popular right now", "Popular right now"]
    in_a_category = ["Popular right now", "Top picks in this category", "More from this category"]
    of_an_item = ["Recommended for you", "Top picks in this category", "Similar items"]
    page = {"type": "product", "category": "Dept 1 > Aisle 5"}
    assert names() == nothing_known
    assert names(page=page) == in_a_category
    assert names(page={**page, "item_id": "item-05-01"}) == of_an_item
    assert names(**known()) == ["Recommended for you", "You may also like", "You may also like"]


def test_no_item_stands_twice_on_a_page() -> None:
    items = shown(Serving().ask(**known()))

    assert len(items) == len(set(items)) > 60


def test_the_event_in_the_request_changes_this_very_answer_and_writes_nothing() -> None:
    serving = Serving()

    before = serving.ask("home_hero")
    after = serving.ask("home_hero", events=[view("item-09-05")])

    assert (before.personalization_level, after.personalization_level) == ("prior", "session")
    assert shown(before) != shown(after)
    assert serving.sessions.load("s1", now=NOW).version == 0


def test_a_stored_event_counts_as_an_inline_event_does() -> None:
    serving, viewed = Serving(), parse_event(view("item-09-05"), now=NOW, visitor_id="v1", session_id="s1")
    inline = serving.ask("home_hero", events=[view("item-09-05")])
    serving.sessions.accept(SessionState(Session("s1", (viewed,)), 1), [Accepted(viewed)], now=NOW)

    stored = serving.ask("home_hero")
    both = serving.ask("home_hero", events=[view("item-09-05")])

    assert (stored.personalization_level, stored.evidence) == ("session", inline.evidence)
    assert shown(stored) == shown(inline) == shown(both)


def test_a_known_household_is_served_as_a_user_by_its_user_id_or_its_visitor_id() -> None:
    serving = Serving()

    assert serving.ask("home_hero", **known()).personalization_level == "user"
    assert serving.ask("home_hero", visitor_id="h1").personalization_level == "user"


@pytest.mark.parametrize("consent", ["none", "contextual"])
def test_without_consent_neither_history_nor_session_is_used(consent: str) -> None:
    serving = Serving()
    unknown = serving.ask("home_hero", context={"consent": consent})

    answer = serving.ask("home_hero", context={"consent": consent}, events=[view("item-09-05")], **known())

    assert answer.personalization_level == "prior"
    assert shown(answer) == shown(unknown)


def test_without_any_consent_there_is_no_experiment_and_no_token() -> None:
    serving = Serving()
    serving.snapshots.snapshot = EXPERIMENT

    (none,) = serving.ask("home_hero", context={"consent": "none"}).placements
    (contextual,) = serving.ask("home_hero", context={"consent": "contextual"}).placements

    assert none.experiment is not None and contextual.experiment is not None
    assert (none.attribution_token, none.experiment.id) == (None, None)
    assert (contextual.attribution_token is not None, contextual.experiment.id) == (True, "exp_default")


@pytest.mark.parametrize("shopper", [replace(HOUSEHOLD, consent="contextual"), replace(HOUSEHOLD, erased=True)])
def test_a_shopper_who_withdrew_is_served_as_if_never_seen(shopper: Any) -> None:
    serving = Serving(shoppers=MemoryShoppers([shopper]))

    assert serving.ask("home_hero", **known()).personalization_level == "prior"


def test_each_placement_is_assigned_and_signed_for_this_session() -> None:
    serving = Serving()
    serving.snapshots.snapshot = EXPERIMENT

    answer = serving.ask()

    for placement in (one for one in answer.placements if one.hidden_reason is None):
        assert placement.experiment is not None and placement.attribution_token is not None
        expected = assign(EXPERIMENT, "v1", placement.placement)
        claims = verify(placement.attribution_token, SECRET)
        assert placement.experiment.variant == claims.variant == expected.variant
        assert (claims.session_id, claims.recommendation_id) == ("s1", answer.recommendation_id)
        assert (claims.epoch, claims.propensity) == (expected.epoch, expected.propensity)
        assert claims.item_ids == tuple(item.item_id for item in placement.items)
        assert (claims.segment, claims.degraded) == (answer.personalization_level, answer.degraded)


def test_an_unknown_placement_gets_its_own_error_and_the_others_are_served() -> None:
    answer = Serving().ask("home_hero", "pdp_simlar", "home_hero", "home_trending")

    assert [placement.error.code if placement.error else len(placement.items) for placement in answer.placements] == [
        8,
        "unknown_placement",
        "duplicate_placement",
        8,
    ]
    problem = answer.placements[1].error
    assert problem is not None and "did you mean 'pdp_similar'?" in problem.detail


def test_where_no_placement_is_known_there_is_nothing_to_answer() -> None:
    with pytest.raises(
        NotFound, match="/placements/0/placement is 'pdp_simlar' — did you mean 'pdp_similar'"
    ) as refusal:
        Serving().ask("pdp_simlar", "home_heroes")

    assert refusal.value.code == "unknown_placement"


def test_a_limit_replaces_the_size_of_the_registry() -> None:
    answer = Serving().ask(placements=[{"placement": "home_hero", "limit": 3}])

    assert [item.index for item in answer.placements[0].items] == [0, 1, 2]


@pytest.mark.parametrize("overrides", [{}, {"item-99-99": {"availability": "in_stock"}}])
def test_a_page_about_an_item_that_the_bundle_does_not_know_is_answered_by_its_category(overrides: Any) -> None:
    serving = Serving(overrides=MemoryOverrides(overrides))
    page = {"type": "product", "item_id": "item-99-99", "category": "Dept 3 > Aisle 7"}

    answer = serving.ask("pdp_similar", "pdp_bought_together", page=page)

    similar, together = answer.placements
    assert (answer.degraded, answer.degraded_reason) == (True, "unknown_anchor")
    assert (similar.item_list_name, len(similar.items)) == ("More from this category", 6)
    assert {item.category for item in similar.items} == {"Dept 3 > Aisle 7"}
    assert together.hidden_reason == "no_partners"


def test_an_unknown_anchor_is_nobody_s_failure_so_that_no_variant_is_blamed_for_it() -> None:
    serving = Serving()
    serving.snapshots.snapshot = EXPERIMENT

    (hero,) = serving.ask("home_hero", page={"type": "product", "item_id": "new today"}).placements

    assert verify(hero.attribution_token or "", SECRET).degraded is False


def test_an_item_that_sold_out_a_moment_ago_is_gone_from_the_next_answer() -> None:
    serving = Serving()
    first = shown(serving.ask("home_hero"))
    serving.overrides.changes[first[0]] = {"availability": "out_of_stock"}
    serving.overrides.changes[first[1]] = {"price_cents": 4242}

    (hero,) = serving.ask("home_hero").placements

    assert first[0] not in [item.item_id for item in hero.items]
    assert next(item.price for item in hero.items if item.item_id == first[1]) == 42.42


def test_the_cart_is_left_out_and_a_search_is_understood() -> None:
    serving = Serving()
    page = {"type": "search", "search_term": "aisle 4"}

    found = shown(serving.ask("search_fallback", page=page))
    carted = shown(serving.ask("search_fallback", page=page, context={"cart_item_ids": found[:2]}))

    assert sum(item_id.startswith("item-04") for item_id in found) >= 6
    assert not set(found[:2]) & set(carted)


def test_reasons_can_be_left_out() -> None:
    (with_reasons,) = Serving().ask("home_hero").placements
    (without,) = Serving().ask("home_hero", options={"explain": "none"}).placements

    assert all(item.reasons for item in with_reasons.items)
    assert not any(item.reasons for item in without.items)


def test_refused_inline_events_are_told() -> None:
    answer = Serving().ask("home_hero", events=[{**view("item-09-05"), "event_name": "look"}])

    assert answer.to_json()["rejected_events"][0]["code"] == "unknown_event"


def test_without_the_state_store_the_prior_and_the_inline_events_serve() -> None:
    serving = Serving()
    serving.state.is_down = True

    answer = serving.ask("home_hero", events=[view("item-09-05")], **known())

    assert (answer.degraded_reason, answer.personalization_level) == ("state_unavailable", "session")
    assert len(shown(answer)) == 8


def test_without_a_snapshot_the_incumbent_serves_and_nothing_is_counted() -> None:
    serving = Serving()
    serving.snapshots.snapshot = None

    answer = serving.ask("home_hero")

    arm = answer.placements[0].experiment
    assert answer.degraded_reason == "experiments_unavailable"
    assert arm is not None and (arm.id, arm.variant) == (None, "cohorts")


def broken(*_: object) -> Ranked:
    raise DependencyDown("the ranker cannot run")


def test_where_the_snapshot_names_a_policy_of_newer_code_the_incumbent_serves_there_and_nothing_is_counted() -> None:
    serving = Serving()
    serving.snapshots.snapshot = replace(NO_EXPERIMENTS, defaults={"home_hero": "hybrid_of_tomorrow"})

    answer = serving.ask("home_hero", "home_trending")

    arms = [shown.experiment.variant for shown in answer.placements if shown.experiment]
    assert arms == ["cohorts", "hybrid"]
    assert answer.degraded_reason == "experiments_unavailable"
    assert all(shown.items for shown in answer.placements)


def test_without_models_precomputed_lists_fill_every_placement() -> None:
    for ranking in (broken, None):
        answer = Serving(ranking=ranking).ask()

        assert (answer.degraded_reason, answer.personalization_level) == ("models_unavailable", "prior")
        assert all(placement.items or placement.hidden_reason for placement in answer.placements)
        assert len(set(shown(answer))) == 64  # 80 places, 16 of them in the three hidden lists


def test_without_any_bundle_the_standby_lists_serve_what_is_still_true() -> None:
    serving = Serving(standby=MemoryStandby(STANDBY))
    serving.bundles.bundle = None
    serving.overrides.changes["a"] = {"availability": "out_of_stock"}
    serving.overrides.changes["b"] = {"price_cents": 250}

    answer = serving.ask("home_hero", "home_continue", "home_trending", context={"cart_item_ids": ["e"]})

    hero, history, trending = answer.placements
    assert (answer.degraded_reason, answer.model_version) == ("bundle_unavailable", None)
    assert [(item.item_id, item.price) for item in hero.items] == [("c", 3.0), ("b", 2.5), ("d", 4.0)]
    assert hero.item_list_name == "Popular right now"
    assert history.hidden_reason == "no_history"
    assert trending.items == ()  # a, b, c, d and e are on the page, in the cart or sold out


def test_where_nothing_was_ever_published_the_answer_is_empty_but_an_answer() -> None:
    serving = Serving()
    serving.bundles.bundle = None

    answer = serving.ask("home_hero")

    assert (answer.degraded_reason, answer.placements[0].items) == ("bundle_unavailable", ())


def test_everything_missing_at_once_is_all_told() -> None:
    serving = Serving(ranking=None)
    serving.state.is_down = True
    serving.snapshots.snapshot = None

    assert serving.ask("home_hero").degraded_reason == "state_unavailable,experiments_unavailable,models_unavailable"


def fixed_ranking(bundle: Bundle, *_: object) -> Ranked:
    """Ten candidates with scores and strengths that can be checked by hand."""
    rows = np.arange(10, dtype=np.int32) * 24
    strengths = np.zeros((10, 9), np.float32)
    strengths[:5, 5] = 0.8  # similar_content
    strengths[5:, 7] = 0.5  # prior
    return Ranked(rows, np.linspace(0.5, 0.05, 10, dtype=np.float32), strengths, "session", 1.0)


def golden_answer() -> dict[str, Any]:
    """The answer whose shape and content other parts rely on."""
    serving = Serving(ranking=fixed_ranking)
    serving.snapshots.snapshot = EXPERIMENT
    placements = [{"placement": "pdp_similar", "limit": 3}, {"placement": "home_hero", "limit": 2}, {"placement": "x"}]
    page = {"type": "product", "item_id": "item-03-01"}
    return serving.ask(visitor_id="v8", page=page, placements=placements, events=[view("item-03-01"), {}]).to_json()


def test_the_answer_is_the_golden_one() -> None:
    """After a wanted change: .venv/bin/python -m tests.use_cases.test_recommend"""
    assert golden_answer() == json.loads(GOLDEN.read_text())


def test_the_request_of_the_tests_is_a_body_of_the_api() -> None:
    assert [entry["placement"] for entry in body()["placements"]] == ALL_PLACEMENTS
    assert tiny_bundle().count_items == 240


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden_answer(), indent=1, ensure_ascii=False) + "\n")
