"""A synthetic history is the same for the same seed, however it is cut, and has the shares it promises."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from statistics import mean

import polars as pl
import pytest

from warehouse.sources.synthetic_catalogue import delivered_items, draw_catalogue
from warehouse.sources.synthetic_history import Part, deliveries, parts, write
from warehouse.sources.synthetic_ids import ids
from warehouse.sources.synthetic_shop import (
    CORRECTION_SHARE,
    LATE_SHARE,
    ORDER_SHARE,
    REMOVAL_SHARE,
    TWICE_SHARE,
    UNKNOWN_SHARE,
    Shop,
    season,
)
from warehouse.tables import RAW

SHOP = Shop(20_000, 30, shoppers=400, items=100)


@pytest.fixture(scope="module")
def whole() -> dict[str, pl.DataFrame]:
    """The history as one delivery, and what has arrived a month later of what was late."""
    later = Part(SHOP.first + timedelta(days=30), SHOP.first + timedelta(days=61), 1)
    history, rest = deliveries(SHOP, [*parts(SHOP, 30), later])
    keys = {
        "events": ("event_id", r"-(\d+)$"),
        "purchases": ("order_id", r"o(\d+)-"),
        "reviews": ("review_id", r"o(\d+)-"),
    }
    late = {
        table: rest.frames[table].filter(pl.col(key).str.extract(day).cast(pl.Int64) < 30)
        for table, (key, day) in keys.items()
    }
    return {**history.frames, **{table: pl.concat([history.frames[table], frame]) for table, frame in late.items()}}


def _same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return bool(one.sort(one.columns).equals(other.sort(other.columns)))


def _named(events: pl.DataFrame, name: str) -> pl.DataFrame:
    return events.filter(pl.col("event_name") == name).unique("event_id")


def test_the_same_seed_gives_the_same_history_and_another_seed_another() -> None:
    one, two, other = (
        next(deliveries(Shop(600, 5, seed=seed, shoppers=20, items=20), parts(SHOP, 5)[:1])).frames["events"]
        for seed in (1, 1, 2)
    )

    assert one.equals(two)
    assert not one.equals(other)


def test_the_rows_do_not_depend_on_how_the_days_are_cut() -> None:
    cut = list(deliveries(SHOP, parts(SHOP, 8)))
    once = next(deliveries(SHOP, parts(SHOP, 30))).frames

    for table in ("events", "purchases", "reviews"):
        assert _same(pl.concat([one.frames[table] for one in cut]), once[table])
    newest = pl.concat([one.frames["items"] for one in cut]).unique("item_id", keep="last", maintain_order=True)
    assert _same(newest, once["items"])
    assert len([one for one in cut if "shoppers" in one.frames]) == 1


def test_each_frame_has_columns_that_its_raw_table_has(whole: dict[str, pl.DataFrame]) -> None:
    for table, frame in whole.items():
        assert set(frame.columns) <= {name for name, _ in RAW[table]}


def test_the_number_of_events_and_the_shares_are_those_promised(whole: dict[str, pl.DataFrame]) -> None:
    events = whole["events"].filter(pl.col("event_name") != "refund")
    once = events.unique("event_id")
    sessions = once.unique("session_id")
    days = pl.col("event_time").dt.truncate("1d")

    assert once.height == pytest.approx(
        SHOP.events * mean(season(SHOP.first + timedelta(days=d)) for d in range(30)), rel=0.05
    )
    assert once.height / sessions.height == pytest.approx(SHOP.events_per_session, rel=0.03)
    assert sessions["user_id"].null_count() / sessions.height == pytest.approx(UNKNOWN_SHARE, abs=0.025)
    assert (events.height - once.height) / once.height == pytest.approx(TWICE_SHARE, abs=0.002)
    assert once.select(days).n_unique() == 30
    assert whole["events"]["derived"].all()


def test_without_lists_there_are_none_and_as_many_events() -> None:
    shop = Shop(6_000, 4, shoppers=100, items=50, lists_per_session=0)
    events = next(deliveries(shop, parts(shop, 4))).frames["events"]

    assert not set(events["event_name"]) & {"view_item_list", "select_item"}
    assert events["claims"].null_count() == events.height
    assert shop.events_per_session < SHOP.events_per_session
    assert events.height == pytest.approx(
        6_000 * mean(season(shop.first + timedelta(days=d)) for d in range(4)), rel=0.1
    )


def test_one_event_in_a_hundred_comes_after_its_part() -> None:
    history, rest = deliveries(
        SHOP,
        [
            Part(SHOP.first, SHOP.first + timedelta(days=1)),
            Part(SHOP.first + timedelta(days=1), SHOP.first + timedelta(days=32)),
        ],
    )
    of_first = rest.frames["events"].filter(pl.col("event_id").str.ends_with("-0") & (pl.col("event_name") != "refund"))
    count = history.frames["events"].height + of_first.height

    assert of_first.height / count == pytest.approx(LATE_SHARE, abs=0.01)


def test_a_refund_comes_days_after_its_order_and_names_it(whole: dict[str, pl.DataFrame]) -> None:
    orders = _named(whole["events"], "purchase")
    refunds = _named(whole["events"], "refund")
    both = refunds.join(orders, on="transaction_id", suffix="_of_order")
    lag = both["event_time"] - both["event_time_of_order"]

    assert 0 < refunds.height < 0.06 * orders.height
    assert both.height == refunds.height
    assert lag.min() >= timedelta(days=3)
    assert set(whole["purchases"]["order_id"]) == set(orders["transaction_id"])


def test_a_cart_is_ordered_emptied_or_abandoned(whole: dict[str, pl.DataFrame]) -> None:
    carts, removed, orders = (_named(whole["events"], name) for name in ("add_to_cart", "remove_from_cart", "purchase"))
    filled = set(carts["session_id"])

    assert removed.height / carts.height == pytest.approx(REMOVAL_SHARE, abs=0.03)
    assert set(removed["session_id"]) <= filled
    assert set(orders["session_id"]) <= filled
    assert orders.height / len(filled) == pytest.approx(ORDER_SHARE * (1 - REMOVAL_SHARE), abs=0.06)


def test_an_order_line_is_corrected_days_later_by_one_piece_more() -> None:
    shop = Shop(60_000, 20, shoppers=400, items=100)
    end = shop.first + timedelta(days=20)
    first, later = deliveries(shop, [Part(shop.first, end), Part(end, end + timedelta(days=6), 1)])
    lines = pl.concat([first.frames["purchases"], later.frames["purchases"]])
    both = lines.filter(pl.len().over("order_id", "item_id") == 2).sort("quantity")
    old, new = (both.group_by("order_id", "item_id").agg(pick) for pick in (pl.all().first(), pl.all().last()))
    pairs = old.join(new, on=["order_id", "item_id"], suffix="_corrected")

    assert pairs.height / lines.height == pytest.approx(CORRECTION_SHARE, abs=0.006)
    assert (pairs["quantity_corrected"] == pairs["quantity"] + 1).all()
    assert (
        pairs["price_cents_corrected"] * pairs["quantity"] == pairs["price_cents"] * pairs["quantity_corrected"]
    ).all()
    assert (pairs["purchased_at_corrected"] == pairs["purchased_at"]).all()


def test_ids_are_unlike_each_other_and_in_no_order() -> None:
    made = [*ids("e", 0, 1_000), *ids("e", 1, 1_000)]

    assert len(set(made)) == 2_000
    assert made != sorted(made)
    assert min(made[1_000:]) < max(made[:1_000])


def test_items_are_born_and_die() -> None:
    shop = Shop(16_000, 400, shoppers=100, items=200)
    spans = [Part(shop.first + timedelta(days=day), shop.first + timedelta(days=day + 20)) for day in (0, 380)]
    first, last = (one.frames for one in deliveries(shop, spans))
    seen = [set(_named(one["events"], "view_item")["items"].str.extract(r'"(i\d+)"')) for one in (first, last)]
    dead = set(last["items"].filter(pl.col("availability") == "discontinued")["item_id"])

    assert seen[1] - seen[0]
    assert dead & seen[0]


def test_prices_and_stock_change_and_only_what_changed_is_delivered_again() -> None:
    catalogue = draw_catalogue(Shop(600, 120, shoppers=20, items=300))
    first, *rest = (delivered_items(catalogue, day, day + 1) for day in range(120))
    versions = pl.concat([first, *rest])
    spread = versions.group_by("item_id").agg(pl.max("price_cents") / pl.min("price_cents"))["price_cents"]

    assert max(frame.height for frame in rest) < 30
    assert {"in_stock", "out_of_stock"} <= set(versions["availability"])
    assert 1.05 < spread.median() < 1.36  # steps of 5 % between 85 and 115 % of the base
    assert spread.max() < 1.4
    assert (versions["cost_cents"] < versions["price_cents"]).all()


def test_the_week_and_the_end_of_the_year_have_their_seasons() -> None:
    year = [date(2023, 1, 1) + timedelta(days=day) for day in range(365)]

    assert mean(season(day) for day in year) == pytest.approx(1.0, abs=0.005)
    assert season(date(2023, 3, 4)) > 1.1 * season(date(2023, 3, 7))  # a Saturday, a Tuesday
    assert season(date(2023, 12, 6)) > 1.2 * season(date(2023, 9, 6))


def test_the_seasons_are_seen_in_the_events() -> None:
    shop = Shop(365 * 200, 365, shoppers=200, items=50)
    weeks = [Part(date(2023, month, day), date(2023, month, day + 7)) for month, day in ((9, 4), (12, 4))]
    autumn, advent = (next(deliveries(shop, [week])).frames["events"] for week in weeks)

    assert advent.height / autumn.height == pytest.approx(season(weeks[1].first) / season(weeks[0].first), rel=0.12)


def test_a_delivery_is_written_as_a_file_a_table(tmp_path: Path) -> None:
    shop = Shop(300, 10, shoppers=20, items=20)
    delivery = next(deliveries(shop, parts(shop, 5)))
    written = write(delivery, tmp_path)

    assert len(written) == 5
    events = pl.read_parquet(tmp_path / "events_2023-01-01_2023-01-06.parquet")
    assert events.equals(delivery.frames["events"])
