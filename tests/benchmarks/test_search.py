"""The search benchmark on a shop of a few products: reading, scoring by hand, and the command on a tiny encoder."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from recommender.errors import RecommenderError

from benchmarks.search.__main__ import main, run
from benchmarks.search.data import Judged, SearchData, load
from benchmarks.search.models import score
from tests.training.tiny_bert import tiny_text_model
from training_jobs.metrics import expected_recall, graded_ndcg

PRODUCTS = [
    ("p1", "rye bread small", "dark and sour", "Food > Bread", "Acme"),
    ("p2", "rye bread large", "dark and sour", "Food > Bread", "Acme"),
    ("p3", "green tea", "", "Food > Tea", "Leaf"),
    ("p4", "apple juice", "cloudy", "Food > Juice", "Acme"),
    ("p5", "cheddar cheese", "mature", "Food > Cheese", "Dairy"),
]
JUDGMENTS = [
    ("rye bread", "p1", 3),
    ("rye bread", "p2", 2),
    ("rye bread", "p3", 0),
    ("tea", "p3", 3),
    ("tea", "p4", 0),
    ("cola", "p4", 0),
    ("juice", "gone", 3),
]
STRANGE = ("", "\u2603 \u691c\u7d22", "!? " * 5000)  # nothing, unknown characters, a huge one without a word
UNKNOWN = (1 + 1 / log2(3)) / 2  # two equal scores, one of them relevant


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    products = pl.DataFrame(PRODUCTS, ["item_id", "title", "description", "category", "brand"], orient="row")
    products.write_parquet(tmp_path / "products.parquet")
    pl.DataFrame(JUDGMENTS, ["query", "item_id", "grade"], orient="row").write_parquet(tmp_path / "judgments.parquet")
    return tmp_path


def loaded(folder: Path, **columns: str) -> SearchData:
    return load(folder / "products.parquet", folder / "judgments.parquet", columns)


def test_queries_with_something_to_find_are_asked_and_the_rest_is_counted(folder: Path) -> None:
    data = loaded(folder)

    assert [one.query for one in data.judged] == ["rye bread", "tea"]
    assert data.judged[0].rows.tolist() == [0, 1, 2]
    assert data.judged[0].gains.tolist() == [2**3 - 1, 2**2 - 1, 0]
    assert data.facts["queries"] == 3
    assert data.facts["judgments_of_unknown_items"] == 1


def test_other_names_of_the_columns_are_understood_or_told(folder: Path) -> None:
    pl.read_parquet(folder / "products.parquet").rename(
        {"item_id": "id", "description": "words", "brand": "supplier"}
    ).drop("category").write_parquet(folder / "products.parquet")
    pl.read_parquet(folder / "judgments.parquet").rename({"item_id": "docid", "grade": "rating"}).write_parquet(
        folder / "judgments.parquet"
    )

    data = loaded(folder, description="words")

    assert data.fields["brand"][0] == "Acme"
    assert data.fields["description"][0] == "dark and sour"
    assert data.fields["category"] == [""] * 5


@pytest.mark.parametrize(
    ("judgments", "told"),
    [
        ([("tea", "p3", 0)], "a grade above 0"),
        ([("tea", "nowhere", 3)], "a known item"),
        ([("tea", "p3", -1)], "numbers from 0 upwards"),
    ],
)
def test_judgments_that_say_nothing_are_refused(folder: Path, judgments: list[Any], told: str) -> None:
    pl.DataFrame(judgments, ["query", "item_id", "grade"], orient="row").write_parquet(folder / "judgments.parquet")

    with pytest.raises(RecommenderError, match=told):
        loaded(folder)


def test_a_file_without_the_needed_columns_is_refused(folder: Path) -> None:
    pl.DataFrame({"query": ["tea"], "item_id": ["p3"]}).write_parquet(folder / "judgments.parquet")

    with pytest.raises(RecommenderError, match="grade"):
        loaded(folder)
    with pytest.raises(RecommenderError, match="does not exist"):
        load(folder / "nothing.csv", folder / "judgments.parquet", {})


def test_ndcg_by_hand() -> None:
    gains = np.array([7.0, 0.0, 3.0])

    best = 7.0 / log2(2) + 3.0 / log2(3)
    assert graded_ndcg(np.array([3.0, 2.0, 1.0]), gains, 10) == pytest.approx((7.0 / log2(2) + 3.0 / log2(4)) / best)
    assert graded_ndcg(np.array([3.0, 1.0, 2.0]), gains, 10) == pytest.approx(1.0)


def test_equal_scores_share_their_gain() -> None:
    gains = np.array([7.0, 0.0])

    assert graded_ndcg(np.zeros(2), gains, 10) == pytest.approx((3.5 / log2(2) + 3.5 / log2(3)) / (7.0 / log2(2)))
    assert graded_ndcg(np.zeros(100), np.eye(100)[0], 10) == pytest.approx(
        sum(0.01 / log2(place + 1) for place in range(1, 11))
    )


def test_recall_of_equal_scores_is_expected() -> None:
    scores = np.array([2.0, 1.0, 1.0, 1.0, 1.0])

    assert expected_recall(scores, np.array([0]), cutoff=2) == 1.0
    assert expected_recall(scores, np.array([1]), cutoff=2) == 1 / 4  # one place left for four
    assert expected_recall(scores, np.array([0, 1, 2]), cutoff=2) == (1 + 1 / 4 + 1 / 4) / 2


def test_an_unjudged_item_does_no_harm_but_in_the_wider_readings() -> None:
    judged = (
        Judged("tea", np.array([0, 1]), np.array([7.0, 0.0])),
        Judged("rye", np.array([2, 3]), np.array([7.0, 0])),
    )

    found = score(
        lambda number: np.array([[2.0, 1.0, 3.0, 0.0, 4.0], [0.0, 0.0, 2.0, 1.0, 3.0]])[number], judged, label=""
    )

    assert found.values["all"]["ndcg@10"].tolist() == [1.0, 1.0]
    assert found.values["judged_pool"]["ndcg@10"].tolist() == pytest.approx([1 / log2(3), 1.0])
    assert found.values["full_catalogue"]["ndcg@10"].tolist() == pytest.approx([1 / log2(4), 1 / log2(3)])


def test_where_every_grade_is_the_same_the_pool_decides() -> None:
    judged = (Judged("tea", np.array([0]), np.array([1.0])), Judged("rye", np.array([1]), np.array([1.0])))

    found = score(lambda number: np.array([1.0, 2.0]), judged, label="")

    assert found.values["all"]["ndcg@10"].tolist() == pytest.approx([1 / log2(3), 1.0])


def test_the_door_prints_every_method_with_intervals_and_costs(folder: Path) -> None:
    strange = [(query, item, grade) for query in STRANGE for item, grade in (("p3", 3), ("p4", 0))]
    pl.DataFrame(JUDGMENTS + strange, ["query", "item_id", "grade"], orient="row").write_parquet(
        folder / "judgments.parquet"
    )

    result = run(loaded(folder), [1], seconds=2.0, load_model=tiny_text_model)

    assert set(result["methods"]) == {"bm25", "bert_pretrained", "bert_tuned", "hybrid"}
    for method, strata in result["methods"].items():
        assert set(strata["all"]) == {"ndcg@10", "recall@50", "coverage@20"}
        low, high = result["intervals"][method]["all"]["ndcg@10"]
        assert 0.0 <= low <= strata["all"]["ndcg@10"] <= high <= 1.0
    bread = 5 * (1 + 1 / log2(3)) / (7 + 3 / log2(3))  # two equal scores share the gains 7 and 3; tea is 1
    assert result["methods"]["bm25"]["all"]["ndcg@10"] == pytest.approx((bread + 1 + 3 * UNKNOWN) / 5, abs=1e-5)
    assert result["cost"]["encode_query_cpu_ms_p50"] > 0
    assert set(result["by_seed"]) == {"1"}
    json.dumps(result)


def test_a_catalogue_without_text_gives_a_result(folder: Path) -> None:
    pl.DataFrame({"item_id": [row[0] for row in PRODUCTS], "title": [""] * 5}).write_parquet(
        folder / "products.parquet"
    )

    result = run(loaded(folder), [1], seconds=1.0, load_model=tiny_text_model)

    marks = {name: strata["all"]["ndcg@10"] for name, strata in result["methods"].items()}
    assert len(set(marks.values())) == 1  # every item is equal: all methods have the expected value


def test_bad_input_ends_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--products", str(folder / "no.parquet"), "--judgments", str(folder / "judgments.parquet")])

    assert code == 2
    assert "does not exist" in capsys.readouterr().err
