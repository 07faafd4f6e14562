"""The purchases benchmark from files: its input forms, its strata and its JSON line, on a shop made for the purpose."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from recommender.errors import InvalidInput, NotFound

from benchmarks.purchases import __main__ as purchases
from benchmarks.purchases.data import from_files
from training_jobs.counting.lines import bought_between
from training_jobs.evaluate.questions import (
    EVENTS,
    ON_CATEGORY_PAGE,
    arrival_questions,
    basket_questions,
    visit_questions,
    window_questions,
)
from training_jobs.session_ranker.fitting import count_until

START = datetime(2024, 1, 1)
TRAIN, VALID, TEST = (START + timedelta(days=day) for day in (80, 100, 120))
SHOPPERS, ITEMS = 60, 50


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty shoppers of two tastes who come every ten days; shopper 59 comes in the test only, item 49 is sold then."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(1)
    rows = []
    for shopper in range(SHOPPERS):
        favourites = rng.choice(24, 4, replace=False) + 25 * (shopper % 2)
        for day in range(110 if shopper == SHOPPERS - 1 else shopper % 10, 120, 10):
            chosen = {*favourites[:3].tolist(), *(rng.choice(24, 2, replace=False) + 25 * (shopper % 2)).tolist()}
            if day >= 100:
                chosen.add(ITEMS - 1)
            moment = START + timedelta(days=day, hours=10)
            rows += [(f"s{shopper:02d}", f"i{item:02d}", f"o{shopper}-{day}", moment, 1, 2.5) for item in chosen]
    names = ("shopper_id", "item_id", "order_id", "purchased_at", "quantity", "price")
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(folder / "transactions.parquet")
    pl.DataFrame(
        {
            "item_id": [f"i{n:02d}" for n in range(ITEMS)],
            "title": [f"Thing {n}" for n in range(ITEMS)],
            "category": ["Left" if n < 25 else "Right" for n in range(ITEMS)],
            "brand": ["A"] * ITEMS,
            "price": [2.5] * ITEMS,
        }
    ).write_csv(folder / "items.csv")
    pl.DataFrame({"shopper_id": [f"s{n:02d}" for n in range(SHOPPERS)], "side": ["l", "r"] * 30}).write_csv(
        folder / "shoppers.csv"
    )
    return folder


@pytest.mark.parametrize("text", ["2024-01-05 10:00:00", "2024-01-05T10:00:00Z", "2024-01-05T12:00:00+02:00"])
def test_times_of_a_csv_file_are_read_as_naive_utc(files: Path, tmp_path: Path, text: str) -> None:
    line = f"s1,i01,o1,{text},1,2.5"
    (tmp_path / "transactions.csv").write_text(f"shopper_id,item_id,order_id,purchased_at,quantity,price\n{line}\n")

    data = from_files(tmp_path / "transactions.csv", files / "items.csv", None, (TRAIN, VALID, TEST))

    assert data.exports.purchases["purchased_at"].to_list() == [datetime(2024, 1, 5, 10)]


def test_strata_ask_for_what_their_names_say(files: Path) -> None:
    data = from_files(files / "transactions.parquet", files / "items.csv", files / "shoppers.csv", (TRAIN, VALID, TEST))
    counted = count_until(data.exports, VALID, np.arange(ITEMS))
    bought = bought_between(data.exports, VALID, TEST)
    window = window_questions(counted.statistics, bought, counted.segments.of_shopper, now_days=counted.now_days)
    baskets = basket_questions(counted.statistics, bought, counted.segments.of_shopper, seed=0)

    asked = {question.case.shopper_id: question for question in window}
    assert len(asked) == SHOPPERS
    assert {name for name, question in asked.items() if "cold_shoppers" in question.targets} == {"s59"}
    for question in window:
        owned = question.case.owned.rows
        assert question.targets["cold_items_full"].tolist() == [ITEMS - 1]
        assert not np.isin(question.targets["new"], owned).any()
        assert question.excluded["new"].tolist() == owned.tolist()
    for question in baskets:
        shown, rest = question.case.seen.viewed, question.targets["in_basket"]
        assert len(shown) == 3 and not np.isin(shown, rest).any()
        assert question.excluded["in_basket"].tolist() == shown.tolist()
    assert [dict(question.targets).keys() for question in arrival_questions(window)] == [{"cold_items"}] * SHOPPERS


def test_strangers_are_asked_for_the_same_items_however_much_they_have_shown(files: Path) -> None:
    data = from_files(files / "transactions.parquet", files / "items.csv", None, (TRAIN, VALID, TEST))
    counted = count_until(data.exports, VALID, np.arange(ITEMS))
    bought = bought_between(data.exports, VALID, TEST)

    asked = visit_questions(counted.statistics.items, bought, np.random.default_rng(0), most=10)

    assert len(asked) == 10 * (len(EVENTS) + 1)
    for first in range(0, len(asked), len(EVENTS) + 1):
        of_order = asked[first : first + len(EVENTS) + 1]
        (targets,) = {tuple(rows.tolist()) for question in of_order for rows in question.targets.values()}
        assert [next(iter(question.targets)) for question in of_order] == [*EVENTS, ON_CATEGORY_PAGE]
        assert [len(question.case.seen.viewed) for question in of_order[:4]] == [0, 1, 2, 3]
        assert len(of_order[4].case.seen.viewed) >= 4 and of_order[5].case.category in ("Left", "Right")
        assert not any(len(question.case.owned.rows) for question in of_order)
        assert not np.isin(of_order[4].case.seen.viewed, targets).any()


def test_nothing_of_the_test_is_counted_before_it(files: Path) -> None:
    data = from_files(files / "transactions.parquet", files / "items.csv", None, (TRAIN, VALID, TEST))

    statistics = count_until(data.exports, VALID, np.arange(ITEMS)).statistics

    assert statistics.lines.days.max() < (VALID - datetime(1970, 1, 1)).days
    assert statistics.items.popularity[ITEMS - 1] == 0  # sold in the test only


def test_moments_out_of_order_and_missing_columns_are_named(files: Path) -> None:
    with pytest.raises(InvalidInput, match="--valid-until"):
        from_files(files / "transactions.parquet", files / "items.csv", None, (VALID, TRAIN, TEST))
    with pytest.raises(InvalidInput, match="order_id"):
        from_files(files / "items.csv", files / "items.csv", None, (TRAIN, VALID, TEST))
    with pytest.raises(NotFound, match=r"nowhere\.parquet"):
        from_files(files / "nowhere.parquet", files / "items.csv", None, (TRAIN, VALID, TEST))


@pytest.mark.slow
def test_the_last_line_of_stdout_is_the_result(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = purchases.main(
        [
            *("--transactions", str(files / "transactions.parquet"), "--items", str(files / "items.csv")),
            *("--shoppers", str(files / "shoppers.csv"), "--seeds", "1,2", "--out", str(tmp_path)),
            *("--train-until", "2024-03-21", "--valid-until", "2024-04-10", "--test-until", "2024-04-30"),
        ]
    )

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert {"hybrid", "two_tower", "content", "ials", "item_knn", "popular", "popular_recent", "own_frequency"} <= set(
        result["methods"]
    )
    asked = {"all", "new", "in_basket", "cold_items", "cold_items_full", "cold_shoppers", *EVENTS, ON_CATEGORY_PAGE}
    assert set(result["methods"]["hybrid"]) == asked
    assert {"content", "two_tower", "popularity_in_category"} <= {
        name for name, strata in result["methods"].items() if "cold_items" in strata
    }
    found = result["methods"]["hybrid"]["all"]["recall@20"]
    assert 0.4 < found["low"] <= found["value"] <= found["high"] <= 1  # twenty places for about eight items of fifty
    assert result["methods"]["hybrid"]["all"]["margin@10"] is None and result["margin_reason"]
    assert result["seeds"] == [1, 2] and len(result["fits"]) == 2
    assert json.loads((tmp_path / "purchases.json").read_text())["methods"] == result["methods"]
    assert (tmp_path / "report.html").is_file()
