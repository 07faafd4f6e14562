"""Checks of the pages: nothing empty, nothing twice, and each kind of knowledge changes what is shown."""

from __future__ import annotations

from typing import Final

from recommender.contracts.placements import INCUMBENT

from local.check.shopping import CheckFailed, Visitor, event, expect, expect_kept_or_hidden, hidden, lists, newcomer
from local.client import Answer, ApiClient

OWN_LISTS: Final = ("home_continue", "pdp_recently_viewed")  # of what the visitor has looked at or bought
ABOUT_A_VISITOR: Final = frozenset({"segment", "matches_your_taste", "bought_before", "viewed_recently"})


def new_visitor_gets_every_placement(api: ApiClient) -> str:
    """A visitor nobody has seen gets 12 answers in one call, each kept or hidden with its reason, none untrue."""
    answer = newcomer(api).look()
    found = expect_kept_or_hidden(answer)
    untrue = [name for name in OWN_LISTS if found[name]]
    expect(not untrue, f"shown to somebody without history: {', '.join(untrue)}")
    names = {entry["item_list_name"] for entry in answer.body["placements"] if entry["items"]}
    expect("Recommended for you" not in names, "'Recommended for you' is shown to somebody nobody has seen")
    codes = {
        reason["code"] for entry in answer.body["placements"] for item in entry["items"] for reason in item["reasons"]
    }
    expect(not codes & ABOUT_A_VISITOR, f"reasons about a visitor nobody has seen: {sorted(codes & ABOUT_A_VISITOR)}")
    expect(answer.body["personalization_level"] == "prior", f"level {answer.body['personalization_level']}")
    expect(answer.body["degraded"] is False, f"degraded: {answer.body['degraded_reason']}")
    return f"{len(found)} placements, {len(hidden(answer))} hidden, {sum(map(len, found.values()))} items"


def looking_at_lists_forgets_nothing(api: ApiClient) -> str:
    """What was viewed and put in the cart stays known after 500 impressions: level, evidence, and what is left out."""
    visitor = newcomer(api)
    viewed, carted = lists(visitor.look("home_trending"))["home_trending"][:2]
    visitor.tell(event("view_item", viewed), event("add_to_cart", carted))
    before = visitor.look("home_hero", "home_continue")
    for _ in range(5):
        visitor.tell(*(event("view_item_list", viewed, item_list_id="home_hero", visible=True) for _ in range(100)))
    after = visitor.look("home_hero", "home_continue")
    for name in ("personalization_level", "evidence"):
        was, now = before.body[name], after.body[name]
        expect(was == now, f"{name} was {was}, is {now} after 500 impressions")
    found = lists(after)
    expect(viewed in found["home_continue"], "what was viewed is no longer known")
    expect(carted not in [item for items in found.values() for item in items], "what is in the cart is shown")
    return f"level {after.body['personalization_level']}, evidence {after.body['evidence']} before and after"


def no_item_twice_on_a_page(api: ApiClient) -> str:
    """Across all placements of an answer, every item stands once; for a newcomer and in the middle of a visit."""
    visitor = newcomer(api)
    first = lists(visitor.look())
    anchor = first["home_hero"][0]
    later = lists(visitor.look(page={"type": "product", "item_id": anchor}, events=[event("view_item", anchor)]))
    for found in (first, later):
        shown = [item for items in found.values() for item in items]
        expect(len(shown) == len(set(shown)), f"{len(shown) - len(set(shown))} items stand twice")
    return f"{sum(map(len, later.values()))} items, all different"


def one_view_changes_the_next_answer(api: ApiClient) -> str:
    """A `view_item` that travels with a request re-orders that very answer; the level goes prior → session.

    Asked as a visitor whose list is made by a session-aware variant: the incumbent is not one by design.
    """
    visitor, before = _session_aware(api)
    viewed = lists(before)["home_hero"][-1]
    after = visitor.look("home_hero", limit=12, events=[event("view_item", viewed)])
    levels = (before.body["personalization_level"], after.body["personalization_level"])
    expect(levels == ("prior", "session"), f"levels {levels}, expected prior then session")
    first, second = lists(before)["home_hero"], lists(after)["home_hero"]
    expect(first != second, "the order is the same before and after the view")
    return f"prior → session, {len(set(second) - set(first))} of {len(second)} items are new"


def known_household_gets_user(api: ApiClient, household: str) -> str:
    """A household with purchases is recognised by its user id."""
    answer = newcomer(api, user_id=household).look()
    lists(answer)
    level = answer.body["personalization_level"]
    expect(level == "user", f"level {level} for household {household}, expected user")
    return f"evidence {answer.body['evidence']}"


def one_placement_by_get(api: ApiClient) -> str:
    """The GET form answers one placement without a body."""
    visitor: Visitor = newcomer(api)
    answer = api.get(f"/v1/placements/home_trending/recommendations?visitor_id={visitor.visitor_id}")
    found = lists(answer)
    expect(bool(found.get("home_trending")), "home_trending is empty")
    return f"{len(found['home_trending'])} items"


def _session_aware(api: ApiClient) -> tuple[Visitor, Answer]:
    for _ in range(50):  # an incumbent's share of 1/3 makes 50 misses in a row impossible
        visitor = newcomer(api)
        answer = visitor.look("home_hero", limit=12)
        if lists(answer) and answer.body["placements"][0]["experiment"]["variant"] != INCUMBENT:
            return visitor, answer
    raise CheckFailed(f"50 newcomers in a row got {INCUMBENT}")
