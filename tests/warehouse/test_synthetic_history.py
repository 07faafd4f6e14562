"""A synthetic history is the same for the same seed, however it is cut, and has the shares it promises."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from statistics import mean

import polars as pl
import pytest

from warehouse.sources.synthetic_history import (
    EVENTS_PER_SESSION,
    LATE_SHARE,
    TWICE_SHARE,
    UNKNOWN_SHARE,
    Part,
    Shop,
    deliveries,
    parts,
    season,
    write,
)
from warehouse.tables import RAW

SHOP = Shop(20_000, 30, shoppers=400, items=100)


@pytest.fixture(scope="module")
def whole() -> dict[str, pl.DataFrame]:
    """The history as one delivery, and what has arrived of its late events a month later."""
    later = Part(SHOP.first + timedelta(days=30), SHOP.first + timedelta(days=61), 1)
    history, rest = deliveries(SHOP, [*parts(SHOP, 30), later])
    late = rest.frames["events"].filter(pl.col("event_id").str.extract(r"e(\d+)-").cast(pl.Int64) < 30)
    return {**history.frames, "events": pl.concat([history.frames["events"], late])}


def _same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return bool(one.sort(one.columns).equals(other.sort(other.columns)))


def test_the_same_seed_gives_the_same_history_and_another_seed_another() -> None:
    one, two, other = (
        next(deliveries(Shop(600, 5, seed=seed, shoppers=20, items=20), parts(SHOP, 5)[:1])).frames["events"]
        for seed in (1, 1, 2)
    )

    assert one.equals(two)
    assert not one.equals(other)


def test_the_rows_do_not_depend_on_how_the_days_are_cut(whole: dict[str, pl.DataFrame]) -> None:
    cut = list(deliveries(SHOP, parts(SHOP, 8)))

    for table in ("purchases", "reviews", "items"):
        assert _same(pl.concat([one.frames[table] for one in cut]), whole[table])
    delivered = pl.concat([one.frames["events"] for one in cut])
    assert _same(delivered, next(deliveries(SHOP, parts(SHOP, 30))).frames["events"])
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
    assert once.height / sessions.height == pytest.approx(EVENTS_PER_SESSION, rel=0.03)
    assert sessions["user_id"].null_count() / sessions.height == pytest.approx(UNKNOWN_SHARE, abs=0.025)
    assert (events.height - once.height) / once.height == pytest.approx(TWICE_SHARE, abs=0.002)
    assert once.select(days).n_unique() == 30
    assert whole["events"]["derived"].all()


def test_one_event_in_a_hundred_comes_after_its_part() -> None:
    history, rest = deliveries(
        SHOP,
        [
            Part(SHOP.first, SHOP.first + timedelta(days=1)),
            Part(SHOP.first + timedelta(days=1), SHOP.first + timedelta(days=32)),
        ],
    )
    of_first = rest.frames["events"].filter(
        pl.col("event_id").str.starts_with("e0-") & (pl.col("event_name") != "refund")
    )
    count = history.frames["events"].height + of_first.height

    assert of_first.height / count == pytest.approx(LATE_SHARE, abs=0.01)


def test_a_refund_comes_days_after_its_order_and_names_it(whole: dict[str, pl.DataFrame]) -> None:
    orders = whole["events"].filter(pl.col("event_name") == "purchase").unique("transaction_id")
    refunds = whole["events"].filter(pl.col("event_name") == "refund").unique("transaction_id")
    both = refunds.join(orders, on="transaction_id", suffix="_of_order")
    lag = both["event_time"] - both["event_time_of_order"]

    assert 0 < refunds.height < 0.06 * orders.height
    assert both.height == refunds.height
    assert lag.min() >= timedelta(days=3)
    assert set(whole["purchases"]["order_id"]) == set(orders["transaction_id"])


def test_items_are_born_and_die() -> None:
    shop = Shop(16_000, 400, shoppers=100, items=200)
    first, *_, last = (one.frames["events"] for one in deliveries(shop, parts(shop, 134)))
    seen = [set(events["items"].drop_nulls().str.extract(r'"(i\d+)"')) for events in (first, last)]

    assert seen[1] - seen[0]
    assert seen[0] - seen[1]


def test_the_week_and_the_end_of_the_year_have_their_seasons() -> None:
    year = [date(2023, 1, 1) + timedelta(days=day) for day in range(365)]

    assert mean(season(day) for day in year) == pytest.approx(1.0, abs=0.005)
    assert season(date(2023, 3, 4)) > 1.1 * season(date(2023, 3, 7))  # a Saturday, a Tuesday
    assert season(date(2023, 12, 6)) > 1.2 * season(date(2023, 9, 6))


def test_it_is_written_a_part_at_a_time(tmp_path: Path) -> None:
    shop = Shop(300, 10, shoppers=20, items=20)
    written = write(shop, tmp_path, days_per_part=5)

    assert len(written) == 9  # four tables in two parts, and the shoppers once
    assert pl.read_parquet(tmp_path / "events_2023-01-01_2023-01-06.parquet").height > 0
