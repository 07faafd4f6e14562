"""A list's name is true: kept by the items that fit, renamed or hidden by page and visitor, never by the variant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.contracts.events import Event, EventItem
from recommender.contracts.placements import ALWAYS, DEFAULT, HIDDEN_REASONS, POLICIES, REGISTRIES, Placement, Promise
from recommender.domain.models.prior import PageContext
from recommender.domain.serving.eligibility import current_stock, gate
from recommender.domain.serving.page import FilledList, Slot, assemble
from recommender.domain.serving.promises import KINDS, TRENDING, Kept, Visit, keep_promises
from recommender.domain.serving.ranking import rank
from recommender.domain.serving.reasons import PROMISES
from recommender.domain.serving.visit import ANONYMOUS, PurchaseHistory, Session, Shopper

from tests.tiny_bundle import COUNT, tiny_bundle

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BUNDLE = tiny_bundle()
BOUGHT = Shopper("u", PurchaseHistory(("item-05-01", "item-03-02"), (1, 1), (1.0, 2.0), (1.0, 2.0), 2))


def session(*steps: tuple[str, str]) -> Session:
    """A visit of these (event name, item id)."""
    told = [Event(str(n), name, NOW, "v", "s", items=(EventItem(item_id),)) for n, (name, item_id) in enumerate(steps)]
    return Session("s").after(*told)


def visit(*steps: tuple[str, str], shopper: Shopper = ANONYMOUS, **page: Any) -> Visit:
    return Visit(shopper, session(*steps), PageContext("product", NOW, **page))


def kept(who: Visit, *placements: Placement, overrides: Any = None) -> list[Kept]:
    rules = gate(BUNDLE, current_stock(BUNDLE, overrides or {}), who.shopper, who.session, who.context)
    return keep_promises(BUNDLE, who, rules, list(placements))


def needing(needs: str, *otherwise: Promise, **changes: Any) -> Placement:
    return Placement("p", "True of something", "home", 4, "click", needs=needs, otherwise=otherwise, **changes)


def test_every_need_has_a_rule_and_a_reason_to_hide() -> None:
    assert set(KINDS) == {ALWAYS, *HIDDEN_REASONS}, (
        "contracts/placements.py and domain/serving/promises.py name other needs"
    )


def test_every_need_that_only_certain_items_meet_has_a_reason_for_them() -> None:
    nobody = visit()
    bound = {
        needs for needs, rule in KINDS.items() if needs != ALWAYS and _is_bound(rule(BUNDLE, visit_of_everything()))
    }

    assert bound == set(PROMISES), "domain/serving/reasons.py says why for other needs than domain/serving/promises.py"
    assert all(KINDS[needs](BUNDLE, nobody) is not None for needs in HIDDEN_REASONS)


def visit_of_everything() -> Visit:
    page = {"item_id": "item-05-01", "category": "Dept 1", "search_term": "x", "cart_item_ids": ("item-07-07",)}
    return visit(("view_item", "item-09-01"), shopper=BOUGHT, **page)


def _is_bound(rows: Any) -> bool:
    return rows is not None


@pytest.mark.parametrize("name", REGISTRIES)
def test_every_placement_of_a_registry_needs_something_known(name: str) -> None:
    needs = {promise.needs for placement in REGISTRIES[name] for promise in placement.promises}

    assert needs <= set(KINDS)


@pytest.mark.parametrize(
    ("needs", "known"),
    [
        ("somebody", visit(("view_item", "item-05-01"))),
        ("somebody", visit(shopper=BOUGHT)),
        ("somebody", visit(item_id="item-05-01")),
        ("own_items", visit(("view_item", "item-05-01"))),
        ("own_items", visit(("purchase", "item-05-01"))),
        ("own_items", visit(shopper=BOUGHT)),
        ("category", visit(category="Dept 3")),
        ("search_matches", visit(search_term="aisle 4")),
        ("similar", visit(item_id="item-05-01")),
        ("cart_partners", visit(cart_item_ids=("item-05-01",))),
        ("partners", visit(item_id="item-05-01")),
        ("co_viewed", visit(item_id=BUNDLE.id_of(int(BUNDLE.session_index.session_items[0])))),
    ],
)
def test_a_need_is_met_by_what_it_names_and_by_nothing_else(needs: str, known: Visit) -> None:
    (met,) = kept(known, needing(needs))
    (unmet,) = kept(visit(), needing(needs))

    assert met.promise is not None
    assert (unmet.promise, unmet.hidden_reason) == (None, HIDDEN_REASONS[needs])


def test_where_a_need_is_not_met_the_next_name_that_is_true_stands_in() -> None:
    placement = needing("similar", Promise("From the category", "category"), Promise("Popular"))

    names = [found.promise and found.promise.name for who in STAGES for found in kept(who, placement)]

    assert names == ["Popular", "From the category", "True of something"]


STAGES = (visit(), visit(category="Dept 1"), visit(category="Dept 1", item_id="item-05-01"))


def test_the_page_s_own_item_is_no_history() -> None:
    """The view of the page that is open travels with its request."""
    who = visit(("view_item", "item-05-01"), item_id="item-05-01")

    assert kept(who, needing("own_items"))[0].hidden_reason == "no_history"
    assert kept(replace(who, shopper=BOUGHT), needing("own_items"))[0].promise is not None


def test_what_is_known_only_of_items_that_left_the_catalogue_is_not_known() -> None:
    gone = visit(("view_item", "gone"), item_id="gone", category="No such aisle", cart_item_ids=("gone",))

    kinds = [needs for needs in HIDDEN_REASONS if needs != "trending"]

    assert [one.hidden_reason for one in kept(gone, *map(needing, kinds))] == [HIDDEN_REASONS[needs] for needs in kinds]


def test_a_list_whose_items_are_all_sold_out_is_hidden() -> None:
    sold_out = {item_id: {"availability": "out_of_stock"} for item_id in BOUGHT.history.item_ids}

    assert kept(visit(shopper=BOUGHT), needing("own_items"), overrides=sold_out)[0].hidden_reason == "no_history"


def test_two_lists_of_the_same_items_each_get_one_while_there_is_one() -> None:
    first, second, third = kept(visit(shopper=BOUGHT), *[needing("own_items")] * 3)

    assert first.rows is not None and second.rows is not None
    assert {int(first.rows[0]), int(second.rows[0])} == {61, 38}  # item-05-01 and item-03-02
    assert third.hidden_reason == "no_history"


def filled(who: Visit, variants: list[str], *, is_ranked: bool) -> list[FilledList]:
    slots = [Slot(placement, variant, placement.size) for placement, variant in zip(DEFAULT, variants, strict=True)]
    ranked = rank(BUNDLE, who.shopper, who.session, who.context) if is_ranked else None
    return assemble(BUNDLE, ranked, who, slots, stock=current_stock(BUNDLE, {}))


ITEMS = st.integers(0, COUNT - 1).map(BUNDLE.id_of)
EVENTS = st.tuples(st.sampled_from(["view_item", "add_to_cart", "purchase", "remove_from_cart"]), ITEMS)
PAGES = st.fixed_dictionaries(
    {
        "item_id": st.none() | ITEMS | st.just("new today"),
        "category": st.none() | st.sampled_from(["Dept 1", "Dept 2 > Aisle 6", "Dept 99"]),
        "search_term": st.none() | st.just("aisle 4"),
    }
)
VARIANTS = st.lists(st.sampled_from(POLICIES), min_size=len(DEFAULT), max_size=len(DEFAULT))


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=6), st.sampled_from([ANONYMOUS, BOUGHT]), PAGES, VARIANTS, VARIANTS, st.booleans())
def test_hiding_and_naming_depend_on_page_and_visitor_and_never_on_the_variant(
    steps: list[tuple[str, str]],
    shopper: Shopper,
    page: dict[str, Any],
    one: list[str],
    two: list[str],
    is_ranked: bool,
) -> None:
    who = visit(*steps, shopper=shopper, **page)
    who = replace(who, context=replace(who.context, cart_item_ids=who.session.cart))

    mine, others = filled(who, one, is_ranked=True), filled(who, two, is_ranked=is_ranked)

    for found in (mine, others):
        assert [bool(shown.items) for shown in found] == [shown.hidden_reason is None for shown in found]
    assert [(shown.name, shown.hidden_reason) for shown in mine] == [
        (shown.name, shown.hidden_reason) for shown in others
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=6), st.sampled_from([ANONYMOUS, BOUGHT]), PAGES, VARIANTS)
def test_no_list_says_what_is_not_so(
    steps: list[tuple[str, str]], shopper: Shopper, page: dict[str, Any], variants: list[str]
) -> None:
    who = visit(*steps, shopper=shopper, **page)
    own = {*who.session.viewed, *shopper.history.item_ids}
    anchors = [row for row in BUNDLE.rows_of(who.context.anchors).tolist() if row >= 0]
    partners = {row for anchor in anchors for row in BUNDLE.co_purchase.rows[anchor].tolist()}

    for shown in filled(who, variants, is_ranked=True):
        rows = [item.row for item in shown.items]
        ids, categories = {BUNDLE.id_of(row) for row in rows}, {_category_of(row) for row in rows}
        if shown.name in ("Continue where you left off", "Recently viewed and bought"):
            assert ids <= own
        if shown.name in ("Bought together", "Goes well with your cart"):
            assert set(rows) <= partners
        if shown.name in ("Top picks in this category", "More from this category") and rows:
            assert all(category.startswith(str(page["category"])) for category in categories)
        if shown.name == "Similar items" and rows:
            assert categories == {_category_of(anchors[0])}
        if shown.name == "You may be looking for" and rows:
            assert categories == {"Dept 0 > Aisle 4"} or all(item_id.endswith("-04") for item_id in ids - AISLE_4)
        if shown.name == "Trending now":
            assert set(rows) <= set(BUNDLE.trending[:TRENDING].tolist())
        if not own:
            codes = {reason.code for item in shown.items for reason in item.reasons}
            assert not codes & {"segment", "bought_before", "viewed_recently"}
            assert anchors or shown.name not in ("Recommended for you", "You may also like") or not rows


AISLE_4 = {BUNDLE.id_of(row) for row in range(48, 60)}


def _category_of(row: int) -> str:
    return bytes(BUNDLE.items.categories[BUNDLE.items.category[row]]).decode()
