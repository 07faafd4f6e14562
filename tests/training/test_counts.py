"""What is counted, on a shop small enough to count by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recommender.contracts import artifacts
from recommender.contracts.placements import DEFAULT
from recommender.domain.models.arrays import from_npz
from recommender.domain.models.bundle import ItemTable, Neighbours
from recommender.domain.models.prior import Prior, context_counts
from recommender.domain.models.session_knn import SessionIndex
from recommender.errors import ArtifactRefused

from tests.training.shop import START, UNTIL, event, frame, shop
from training_jobs.counting.catalogue import build_neighbours
from training_jobs.counting.counts import Statistics, build_statistics, write_statistics
from training_jobs.counting.lines import shopper_line
from training_jobs.exports import Exports

JAM, MILK, SOAP, TEA, WAX = range(5)  # rows: items sorted by id


def counted(exports: Exports | None = None) -> Statistics:
    return build_statistics(exports or shop(), until=UNTIL, content_rows=np.arange(5))


def test_rows_are_items_sorted_by_id_and_purchases_after_the_cut_are_not_seen() -> None:
    statistics = counted()

    assert statistics.item_ids.tolist() == [b"jam", b"milk", b"soap", b"tea", b"wax"]
    assert statistics.lines.count_orders == 6
    assert "cy" in statistics.histories.numbers
    assert statistics.histories.of("cy").item_ids == ("soap",)


def test_the_item_table_holds_the_catalogue_and_what_purchases_say() -> None:
    table = counted().items

    assert [bytes(table.categories[c]).decode() for c in table.category] == [
        "Food > Sweet", "Food > Dairy", "Home > Bath", "Food > Drinks", "Other",
    ]  # fmt: skip
    assert [bytes(table.departments[d]).decode() for d in table.department] == ["Food", "Food", "Home", "Food", "Other"]
    assert table.in_stock.tolist() == [False, True, True, True, True]
    assert table.price_cents.tolist() == [250, 100, 200, 300, 0]
    assert table.popularity == pytest.approx(np.log1p([1, 2, 2, 2, 0]))
    # tea: ann on days 0, 10, 30 (gaps 10 and 20), bob on 1 and 50 (gap 49); milk: bob on 1 and 50
    assert table.interpurchase_days == pytest.approx([0, 49, 0, 20, 0])


def test_the_repeat_share_of_an_item_is_held_by_its_category_and_that_by_the_shop() -> None:
    share = counted().items.repeat_share

    # 11 purchases, 4 of them repeats: tea 3 of 5, milk 1 of 3; jam 0 of 1, soap 0 of 2
    overall = 4 / 11
    drinks = (3 + 20 * overall) / (5 + 20)
    assert share[TEA] == pytest.approx((3 + 5 * drinks) / (5 + 5))
    assert share[WAX] == pytest.approx(overall)  # nobody bought it: the shop's


def test_the_prior_fades_by_half_in_thirty_days() -> None:
    share = np.exp(counted().prior.log_share)

    # ages at the cut: jam 30 days; soap 59 and 20
    assert (share[SOAP] / share[JAM]) == pytest.approx(
        (0.5 ** (59 / 30) + 0.5 ** (20 / 30) + 0.1) / (0.5 + 0.1), rel=1e-4
    )


def test_every_level_of_the_category_path_and_the_hour_is_a_context() -> None:
    prior = counted().prior

    food = context_counts(prior, "category:Food")
    dairy = context_counts(prior, "category:Food > Dairy")
    morning = context_counts(prior, "hour:08")
    assert food is not None and dairy is not None and morning is not None
    assert set(food.rows.tolist()) == {JAM, MILK, TEA}
    assert dairy.rows.tolist() == [MILK]
    assert set(morning.rows.tolist()) == {JAM, MILK, SOAP, TEA}
    assert context_counts(prior, "hour:09") is None


def test_a_query_counts_what_the_visit_turns_to_next() -> None:
    events = []
    for visit in ("s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"):  # 40 days old: 8 count for 8 * 0.5 ** (40 / 30) > 3
        events += [
            event(visit, "view_item", 0, "soap"),
            event(visit, "search", 1, None, term="Hot  TEA"),
            event(visit, "view_item", 2, "tea"),
        ]

    prior = counted(shop(session_events=frame("session_events", events))).prior

    found = context_counts(prior, "query:hot tea")
    assert found is not None
    assert found.rows.tolist() == [TEA]
    product = context_counts(prior, "page:product")
    assert product is not None
    assert set(product.rows.tolist()) == {SOAP, TEA}


def test_histories_have_each_item_once_the_newest_last() -> None:
    history = counted().histories.of("ann")

    day = (START - type(START)(1970, 1, 1)).total_seconds() / 86_400
    assert history.item_ids == ("milk", "tea", "jam") or history.item_ids == ("milk", "jam", "tea")
    tea = history.item_ids.index("tea")
    assert history.orders[tea] == 3
    assert history.first_on[tea] == pytest.approx(day)
    assert history.last_on[tea] == pytest.approx(day + 30)
    assert history.count_orders == 3
    assert counted().histories.of("nobody").is_empty


def test_a_line_of_the_shopper_file_holds_history_and_cohort() -> None:
    shoppers = {shopper.shopper_id: shopper for shopper in counted().histories.shoppers({"ann": 4, "dee": 2})}

    ann = json.loads(shopper_line(shoppers["ann"]))
    assert ann["cohort"] == 4
    assert ann["history"]["count_orders"] == 3
    assert shoppers["bob"].cohort == -1
    assert shoppers["dee"].history.is_empty


def test_items_bought_together_are_neighbours_by_damped_cosine() -> None:
    together = counted().co_purchase

    # tea and milk share 3 orders; tea is in 5, milk in 3
    assert together.rows[TEA, 0] == MILK
    assert together.scores[TEA, 0] == pytest.approx(3 / np.sqrt((5 + 20) * (3 + 20)))
    assert together.rows[WAX].tolist() == [-1] * together.rows.shape[1]
    assert (together.scores[WAX] == 0).all()


def test_neighbours_equal_the_cosine_of_the_full_matrix() -> None:
    rng = np.random.default_rng(5)
    items, orders = rng.integers(0, 40, 600), rng.integers(0, 90, 600)
    has = np.zeros((90, 40))
    has[orders, items] = 1.0
    counts = has.sum(0)
    cosine = has.T @ has / np.sqrt(np.outer(counts + 20, counts + 20))
    np.fill_diagonal(cosine, 0.0)

    found = build_neighbours(items, orders, count_items=40, partners=7)

    assert found.scores == pytest.approx(-np.sort(-cosine, axis=1)[:, :7], rel=1e-5)
    assert np.take_along_axis(cosine, found.rows.astype(int), axis=1) == pytest.approx(found.scores, rel=1e-5)


def test_baskets_stand_in_for_visits_until_the_first_recorded_event() -> None:
    events = [
        event("s1", "view_item", 0, "soap"),
        event("s1", "view_item", 1, "soap"),
        event("s1", "add_to_cart", 2, "tea"),
    ]

    visits = counted(shop(session_events=frame("session_events", events))).visits

    # day 20: orders o1, o2, o3 came before; o4, o5, o6 are no longer used
    assert visits.count_baskets == 3
    assert len(visits) == 4
    assert visits.items[visits.offsets[3] :].tolist() == [SOAP, TEA]


def test_derived_events_teach_nothing() -> None:
    events = [event("s1", "view_item", 0, "wax", derived=True)]

    visits = counted(shop(session_events=frame("session_events", events))).visits

    assert visits.count_baskets == len(visits) == 6
    assert WAX not in visits.items


def test_every_placement_has_a_fallback_in_stock_and_none_twice_on_a_page() -> None:
    statistics = counted()

    assert set(statistics.fallback) == {placement.placement_id for placement in DEFAULT}
    assert all("jam" not in listed for listed in statistics.fallback.values())
    for page in {placement.page for placement in DEFAULT}:
        shown = [
            item
            for placement in DEFAULT
            if placement.page == page
            for item in statistics.fallback[placement.placement_id]
        ]
        assert len(shown) == len(set(shown))


def test_unknown_items_are_left_out_and_a_wrong_content_channel_is_refused() -> None:
    fewer = shop(items=shop().items.filter(shop().items["item_id"] != "soap"))

    statistics = build_statistics(fewer, until=UNTIL, content_rows=np.arange(4))
    assert statistics.histories.of("cy").is_empty

    with pytest.raises(ArtifactRefused, match="content_rows has 3 rows, the catalogue has 5 items"):
        build_statistics(shop(), until=UNTIL, content_rows=np.arange(3))


def test_a_shop_without_purchases_is_counted_too() -> None:
    statistics = counted(shop(purchases=frame("purchases", [])))

    assert len(statistics.visits) == 0
    assert np.exp(statistics.prior.log_share) == pytest.approx([0.2] * 5)


def test_the_files_are_what_serving_reads(tmp_path: Path) -> None:
    statistics = counted()

    write_statistics(statistics, tmp_path)

    for name, kind in (
        (artifacts.ITEM_TABLE, ItemTable),
        (artifacts.PRIOR, Prior),
        (artifacts.SESSION_INDEX, SessionIndex),
        (artifacts.CO_PURCHASE, Neighbours),
    ):
        from_npz(kind, (tmp_path / name).read_bytes())
    offsets = np.load(tmp_path / artifacts.CATALOGUE_OFFSETS)
    line = (tmp_path / artifacts.CATALOGUE).read_bytes()[offsets[TEA] : offsets[TEA + 1]]
    shown = {"item_id": "tea", "title": "Green tea", "description": "Loose leaves", "category": "Food > Drinks"}
    assert json.loads(line) == {**shown, "brand": "Leaf", "price_cents": 300}
