"""The incumbent's segments and lists."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import polars as pl

from tests.training.shop import UNTIL, frame, shop
from training_jobs.counting.cohorts import SEGMENTS, SMALLEST, build_cohorts, read_attributes
from training_jobs.counting.counts import build_statistics
from training_jobs.counting.lines import days_since_epoch

CONTENT_ROWS = np.arange(5)
NOW = days_since_epoch(UNTIL)


def _shoppers(count: int) -> pl.DataFrame:
    rows = [(f"s{n:03d}", json.dumps({"age": str(n % 4), "kids": str(n % 2)})) for n in range(count)]
    return frame("shoppers", [*rows, ("ann", json.dumps({"age": "0", "kids": ""}))])


def test_empty_attributes_are_no_attributes() -> None:
    assert read_attributes(frame("shoppers", [("a", '{"age": ""}'), ("b", None), ("c", '{"age": 7}')])) == {
        "c": {"age": "7"}
    }


def test_shoppers_are_split_by_attributes_into_at_most_twelve_segments_of_a_fair_size() -> None:
    exports = shop(shoppers=_shoppers(200))
    statistics = build_statistics(exports, until=UNTIL, content_rows=CONTENT_ROWS)

    segments = build_cohorts(exports.shoppers, statistics, now_days=NOW)

    assert 2 < len(segments.names) <= SEGMENTS
    sizes = [list(segments.of_shopper.values()).count(n) for n in range(len(segments.names))]
    assert min(sizes) >= SMALLEST
    assert len({segments.of_shopper[f"s{n:03d}"] for n in range(0, 200, 4)}) == 1  # alike in every attribute


def test_a_shopper_without_attributes_joins_a_segment_by_what_it_buys() -> None:
    exports = shop(shoppers=_shoppers(40))
    statistics = build_statistics(exports, until=UNTIL, content_rows=CONTENT_ROWS)

    segments = build_cohorts(exports.shoppers, statistics, now_days=NOW)

    assert {"bob", "cy"} <= set(segments.of_shopper)


def test_without_any_attributes_there_is_one_list_for_everybody() -> None:
    exports = shop()
    statistics = build_statistics(exports, until=UNTIL, content_rows=CONTENT_ROWS)

    segments = build_cohorts(exports.shoppers, statistics, now_days=NOW)

    assert segments.of_shopper == {}
    assert segments.lists().lists.shape == (1, 5)
    assert segments.lists().names.tolist() == [b"everybody"]


def test_lists_follow_what_the_segment_buys_lately() -> None:
    exports = shop(shoppers=_shoppers(40))
    statistics = build_statistics(exports, until=UNTIL, content_rows=CONTENT_ROWS)

    lists = build_cohorts(exports.shoppers, statistics, now_days=NOW).lists()

    milk, tea = 1, 3
    assert set(lists.lists[-1][:2].tolist()) == {milk, tea}  # everybody: bought on day 50


def test_where_nobody_has_attributes_segments_are_clusters_of_what_is_bought() -> None:
    departments = {"milk": "Food", "soap": "Home"}
    lines = [
        (f"s{n:03d}", item, f"o{n}-{day}", UNTIL - timedelta(days=day), 1, 100)
        for n in range(120)
        for day in (5, 9)
        for item in (list(departments)[n % 2],)
    ]
    exports = shop(purchases=frame("purchases", lines))
    statistics = build_statistics(exports, until=UNTIL, content_rows=CONTENT_ROWS)

    segments = build_cohorts(exports.shoppers, statistics, now_days=NOW)

    milk, soap = 1, 2
    food, home = segments.of_shopper["s000"], segments.of_shopper["s001"]
    assert food != home
    assert segments.lists().lists[food][0] == milk and segments.lists().lists[home][0] == soap
