"""The sequences benchmark: the split, ranks under ties, the members, and the whole command on a small shop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from recommender.errors import InvalidInput

from benchmarks.sequences.__main__ import main
from benchmarks.sequences.data import Histories, SequenceData, content_vectors, load
from benchmarks.sequences.fusion import fit_fusion, fused
from benchmarks.sequences.models import Answers, answer, item_knn, markov, popular, sequence_metrics


def _write(folder: Path, sequences: list[list[Any]], kind: pl.DataType | None = None) -> Path:
    path = folder / "sequences.parquet"
    inner = kind or pl.Int32()
    schema = {"user": pl.Int64, "items": pl.List(inner)}
    pl.DataFrame({"user": list(range(len(sequences))), "items": sequences}, schema=schema).write_parquet(path)
    return path


def _two_tastes(folder: Path, users: int = 60) -> Path:
    """Users of two tastes who walk round a ring of ten items each, from a random place on."""
    rng = np.random.default_rng(0)
    starts = rng.integers(10, size=users)
    return _write(folder, [[int((s + k) % 10 + 10 * (n % 2)) for k in range(6)] for n, s in enumerate(starts)])


def _items(folder: Path) -> Path:
    path = folder / "items.parquet"
    names = ["soap", "lamp", "shoe"]
    pl.DataFrame(
        {
            "item": list(range(21)),
            "attributes": [[n // 10, n % 3 + 10] for n in range(21)],
            "colour": [names[n % 3] for n in range(21)],
        }
    ).write_parquet(path)
    return path


def test_the_last_item_is_asked_for_and_the_one_before_it_validates(tmp_path: Path) -> None:
    data = load(_write(tmp_path, [[7, 5, 9, 8], [5, 7], [9]]), None)

    ids = data.item_ids.to_list()
    assert ids == [5, 7, 8, 9]
    assert [ids[row] for row in data.test.targets] == [8, 7]  # the third user has nothing before it
    assert [ids[row] for row in data.valid.targets] == [9]  # the second has no third item
    assert [ids[row] for row in data.train.of(0)] == [7, 5]
    assert [ids[row] for row in data.train_and_valid.of(0)] == [7, 5, 9]


def test_ids_may_be_text_and_the_catalogue_holds_items_nobody_had(tmp_path: Path) -> None:
    described = tmp_path / "items.csv"
    pl.DataFrame({"item": ["b", "z"], "title": ["soap", "lamp"]}).write_csv(described)

    data = load(_write(tmp_path, [["a", "b", "c"]], pl.String()), described)

    assert data.item_ids.to_list() == ["a", "b", "c", "z"]
    assert data.items is not None and data.items["title"].to_list() == [None, "soap", None, "lamp"]


@pytest.mark.parametrize(
    ("sequences", "message"), [([[]], "no items"), ([[1], [2]], "2 sequences of at most one item")]
)
def test_data_without_a_question_is_refused(tmp_path: Path, sequences: list[list[int]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load(_write(tmp_path, sequences), None)


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none.parquet")]) == 2
    assert "none.parquet" in capsys.readouterr().err


def test_equal_scores_count_at_their_expected_rank() -> None:
    lists = np.zeros((3, 1), np.int64)

    found = sequence_metrics(Answers(above=np.array([0, 1, 8]), equal=np.array([1, 2, 4]), lists=lists))

    # The third stands at place 9, 10, 11 or 12 with the same chance.
    assert found["recall@10"] == pytest.approx([1.0, 1.0, 2 / 4])
    expected = [1.0, (1 / np.log2(3) + 1 / np.log2(4)) / 2, (1 / np.log2(10) + 1 / np.log2(11)) / 4]
    assert found["ndcg@10"] == pytest.approx(expected)


def test_a_method_that_scores_nothing_gets_chance_and_no_more(tmp_path: Path) -> None:
    data = load(_two_tastes(tmp_path), None)

    found = sequence_metrics(answer(lambda histories, users: np.zeros((len(users), 20)), data.test, keeps_seen=True))

    assert found["recall@10"].mean() == pytest.approx(10 / 20)


def test_items_of_the_history_are_left_out_unless_they_may_come_again(tmp_path: Path) -> None:
    data = load(_two_tastes(tmp_path), None)
    scorer = popular(data.train_and_valid, data.count_items)

    without = answer(scorer, data.test, keeps_seen=False)

    for user, listed in zip(data.test.users, without.lists, strict=True):
        assert not set(data.test.histories.of(int(user))) & set(listed[:10].tolist())


def test_what_follows_an_item_is_counted_in_its_direction() -> None:
    train = Histories(np.array([0, 3, 6]), np.array([0, 1, 2, 0, 1, 3], np.int32))
    asked = Histories(np.array([0, 1, 2]), np.array([1, 0], np.int32))

    follows = markov(train, 4)(asked, np.array([0, 1]))
    company = item_knn(train, 4)(asked, np.array([0, 1]))

    assert follows[0].tolist() == pytest.approx([0, 0, 1 / 5, 1 / 5])  # (1 of 2) / (2 + damping 3)
    assert follows[1].argmax() == 1
    assert company[0].argmax() == 0  # before it, but always with it


def test_the_fusion_follows_the_member_that_knows(tmp_path: Path) -> None:
    data: SequenceData = load(_two_tastes(tmp_path), None)
    noise = np.random.default_rng(1).normal(size=(60, 20))
    members = {
        "noise": lambda histories, users: noise[users],
        "markov": markov(data.train, data.count_items),
    }

    fusion = fit_fusion(members, data.valid, keeps_seen=False)
    hybrid = sequence_metrics(answer(fused(members, fusion, keeps_seen=False), data.valid, keeps_seen=False))["ndcg@10"]
    best = sequence_metrics(answer(members["markov"], data.valid, keeps_seen=False))["ndcg@10"]

    assert hybrid.mean() >= best.mean() - 0.01


def test_attributes_become_vectors_in_which_like_items_are_close(tmp_path: Path) -> None:
    vectors = content_vectors(pl.read_parquet(_items(tmp_path)), None)

    assert vectors is not None and np.isfinite(vectors).all()
    likeness = vectors @ vectors.T
    assert likeness[0, 3] > likeness[0, 13]  # the same two attributes against one


def test_a_file_that_says_nothing_of_its_items_has_no_vectors() -> None:
    assert content_vectors(pl.DataFrame({"item": [1, 2], "title": [None, ""]}), None) is None


@pytest.mark.parametrize("described", [False, True], ids=["ids alone", "with attributes"])
def test_the_door_prints_every_method_and_writes_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], described: bool
) -> None:
    arguments = ["--data", str(_two_tastes(tmp_path)), "--seeds", "1,2", "--steps", "8", "--out", str(tmp_path / "out")]
    if described:
        arguments += ["--items", str(_items(tmp_path))]

    assert main(arguments) == 0

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    learnt = {
        "hybrid",
        "two_tower",
        "two_tower_train_only",
        *(["two_tower_content", "towers", "content"] if described else []),
    }
    assert set(result["methods"]) == learnt | {"popular", "item_knn", "markov", "ials"}
    for marked in result["methods"].values():
        assert 0 <= marked["all"]["ndcg@10"] <= marked["all"]["recall@10"] <= 1
    assert result["methods"]["markov"]["all"]["recall@10"] > 0.9  # the ring has no surprises
    assert set(result["by_seed"]) == {"1", "2"} and (tmp_path / "out" / "report.html").is_file()


def test_where_users_repeat_items_the_history_stays_in_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _write(tmp_path, [[n % 5, n % 5, n % 5, n % 5] for n in range(20)])

    assert main(["--data", str(path), "--seeds", "1", "--steps", "2"]) == 0

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["protocol"]["seen_items"] == "listed"


def test_one_item_a_thousand_times_gives_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(_write(tmp_path, [[1] * 1000, [2, 1]])), "--seeds", "1", "--steps", "2"]) == 0

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["methods"]["popular"]["all"]["recall@10"] == 1.0  # two items are all there are


def test_sequences_too_short_for_a_validation_give_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path, [[n % 3, n % 3 + 3] for n in range(12)])  # nobody has a third item

    assert main(["--data", str(path), "--seeds", "1", "--steps", "2"]) == 0

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["methods"]["two_tower"]["all"]["recall@10"] == 1.0  # six items are all there are
