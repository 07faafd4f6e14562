"""Each command's split as the peers get it, and their lists as its answers: popularity from either side is the same.

`popular` of benchmarks.peers.fit plays the peer, in this interpreter.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.next_item import __main__ as next_item
from benchmarks.next_item import ablation as next_item_peers
from benchmarks.next_item import data as next_item_baselines
from benchmarks.next_item import data as next_item_data
from benchmarks.purchases import evaluation as purchases_peers
from benchmarks.purchases.data import from_files
from benchmarks.sequences import __main__ as sequences
from benchmarks.sequences import fusion as sequences_peers
from benchmarks.sequences.data import load
from benchmarks.sequences.models import answer, popular
from training_jobs.counting.lines import bought_between
from training_jobs.evaluate.questions import basket_questions, window_questions
from training_jobs.session_ranker.fitting import count_until

HERE = Path(sys.executable)
ONE = ["popular"]
START = datetime(2024, 1, 1)


def test_sequences_get_the_same_lists_with_and_without_what_was_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sequences = [rng.choice(12, 5, replace=False, p=np.arange(1, 13) / 78).tolist() for _ in range(30)]
    pl.DataFrame({"user": range(30), "items": sequences}).write_parquet(tmp_path / "s.parquet")
    data = load(tmp_path / "s.parquet", None)

    asked, facts = sequences_peers.peer_answers(HERE, data, keeps_seen=False, methods=ONE, kept=tmp_path)

    own = popular(data.train_and_valid, data.count_items)
    for stratum, keeps_seen in (("all", False), ("seen_listed", True)):
        expected = answer(own, data.test, keeps_seen=keeps_seen)
        found = asked["popular"][stratum]
        size = 12 if keeps_seen else 12 - 4  # without the four items of the history
        assert found.lists[:, :size].tolist() == expected.lists[:, :size].tolist()
        assert found.above.tolist() == expected.above.tolist()
        assert found.equal.tolist() == expected.equal.tolist()
    assert set(facts) == {"popular"}


def test_next_item_leaves_unknown_items_out_of_the_visit(tmp_path: Path) -> None:
    for name, sessions in (("train", [[1, 2, 3], [2, 3], [3, 1]]), ("test", [[1, 99, 2], [3, 3, 1]])):
        pl.DataFrame({"session": range(len(sessions)), "items": sessions}).write_parquet(
            tmp_path / f"{name}_sessions.parquet"
        )
    data = next_item_data.load(tmp_path, min_prefix=1)

    answers, _ = next_item_peers.peer_answers(HERE, data, data.test, methods=ONE, kept=tmp_path)

    expected = next_item_baselines.popular(data, data.test)
    assert answers["popular"].rows[:, :3].tolist() == expected.rows[:, :3].tolist()
    assert answers["popular"].scores[:, :3].tolist() == expected.scores[:, :3].tolist()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    rows = [
        (f"s{shopper}", f"i{item:02d}", f"o{shopper}-{day}", START + timedelta(days=day), 1, 2.5)
        for shopper in range(12)
        for day in range(shopper % 5, 60, 10)
        for item in rng.choice(30, 6, replace=False)
    ]
    names = ("shopper_id", "item_id", "order_id", "purchased_at", "quantity", "price")
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(tmp_path / "transactions.parquet")
    pl.DataFrame(
        {
            "item_id": [f"i{n:02d}" for n in range(30)],
            "title": [f"Thing {n}" for n in range(30)],
            "category": ["Left"] * 30,
            "brand": ["A"] * 30,
            "price": [2.5] * 30,
        }
    ).write_csv(tmp_path / "items.csv")
    return tmp_path


def test_purchases_leave_out_what_a_stratum_excludes_and_order_history_by_time(shop: Path) -> None:
    moments = tuple(START + timedelta(days=day) for day in (30, 45, 60))
    data = from_files(shop / "transactions.parquet", shop / "items.csv", None, moments)  # type: ignore[arg-type]
    counted = count_until(data.exports, moments[1], np.arange(30))
    bought = bought_between(data.exports, moments[1], moments[2])
    cohorts = counted.segments.of_shopper
    windows = window_questions(counted.statistics, bought, cohorts, now_days=counted.now_days)
    questions = [*windows, *basket_questions(counted.statistics, bought, cohorts, seed=0)]

    answered, _ = purchases_peers.peer_answers(
        HERE, tail=(counted.statistics, windows), test=(counted.statistics, questions), methods=ONE, kept=shop
    )

    lines = counted.statistics.lines
    counts = np.bincount(lines.item, minlength=30)
    best = np.lexsort((np.arange(30), -counts))
    for stratum, answers in answered["popular"].items():
        asked = [question for question in questions if stratum in question.targets]
        assert len(asked) == len(answers.lists)
        for question, listed, targets in zip(asked, answers.lists, answers.targets, strict=True):
            left_out = question.excluded.get(stratum, np.empty(0))
            assert listed.tolist() == [row for row in best if row not in left_out and counts[row]][:20]
            assert targets.tolist() == question.targets[stratum].tolist()


def test_the_history_of_a_basket_is_the_past_then_what_is_shown(shop: Path) -> None:
    moments = tuple(START + timedelta(days=day) for day in (30, 45, 60))
    data = from_files(shop / "transactions.parquet", shop / "items.csv", None, moments)  # type: ignore[arg-type]
    counted = count_until(data.exports, moments[1], np.arange(30))
    bought = bought_between(data.exports, moments[1], moments[2])
    question = basket_questions(counted.statistics, bought, counted.segments.of_shopper, seed=0)[0]

    split = purchases_peers.split_of(counted.statistics, [(question, "in_basket")])

    lines = counted.statistics.lines
    own = lines.item[lines.shopper == counted.statistics.histories.numbers[question.case.shopper_id]]
    shown = question.excluded["in_basket"]
    assert split.histories.of(0).tolist() == [*own.tolist(), *shown.tolist()]
    assert split.train.sizes.sum() == len(lines)


def test_a_door_without_its_peers_says_so_before_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train", "test"):
        pl.DataFrame({"session": [1, 2], "items": [[1, 2, 3], [2, 3]]}).write_parquet(
            tmp_path / f"{name}_sessions.parquet"
        )
    pl.DataFrame({"user": [1, 2], "items": [[1, 2, 3], [2, 3, 1]]}).write_parquet(tmp_path / "s.parquet")
    nowhere = ["--peers", str(tmp_path / "no-python")]

    assert next_item.main(["--data", str(tmp_path), *nowhere]) == 2
    assert "no-python" in capsys.readouterr().err
    assert sequences.main(["--data", str(tmp_path / "s.parquet"), *nowhere]) == 2
    assert "make bench-peers" in capsys.readouterr().err
