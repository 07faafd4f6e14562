"""The next-item command on data nobody tuned for: strange ids, unknown items, few sessions, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from recommender.errors import InvalidInput

from benchmarks.next_item import data as baselines
from benchmarks.next_item.__main__ import main
from benchmarks.next_item.data import load, without_visited
from training_jobs.next_item.prefixes import Answers

FAR = 10**12  # ids need not be small or dense
METHODS = {
    "hybrid",
    "plain_fusion",
    "session_encoder",
    "vstan",
    "session_popular",
    "popular",
    "popular_recent",
    "item_knn",
    "markov",
}
METRICS = {"hr@5", "hr@10", "hr@20", "mrr@20", "ndcg@20"}
STRATA = {"all", "events_1", "events_2", "events_3", "events_4plus", "no_repeats", "without_repeats"}
OPENERS = {"hybrid", "popular", "popular_recent"}


def write(folder: Path, train: list[list[int]], test: list[list[int]]) -> Path:
    for name, sessions in (("train", train), ("test", test)):
        frame = pl.DataFrame(
            {"session": range(len(sessions)), "items": sessions}, schema_overrides={"items": pl.List(pl.Int64)}
        )
        frame.write_parquet(folder / f"{name}_sessions.parquet")
    return folder


def walks(count: int, seed: int) -> list[list[int]]:
    starts = np.random.default_rng(seed).integers(0, 25, count)
    return [[FAR + 7 * int((start + step) % 25) for step in range(5)] for start in starts]


@pytest.mark.filterwarnings("default")  # the exporter's and matplotlib's own
def test_the_last_line_holds_every_method_stratum_and_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path, walks(300, seed=1), walks(40, seed=2))
    small = ["--epochs", "3", "--width", "16", "--seeds", "1,2"]

    code = main(["--data", str(data), "--out", str(tmp_path / "out"), *small])

    assert code == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["methods"]) == METHODS
    for name, marked in result["methods"].items():
        assert set(marked) == STRATA | ({"events_0"} if name in OPENERS else set())
        assert set(marked["all"]) == METRICS | {"coverage@20", "popularity@20"}
        low, high = result["intervals"][name]["all"]["hr@20"]
        assert low <= marked["all"]["hr@20"] <= high
    assert set(result["ablation"]) >= {"hybrid", "without_learned_fusion"}
    assert set(result["cost"]) == {"fit_cpu_seconds", "predict_cpu_ms_p50", "predict_cpu_ms_p99"}
    assert result["seeds"] == [1, 2]
    assert result["methods"]["markov"]["all"]["mrr@20"] == pytest.approx(1.0)  # each item has one successor
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"next_item.json", "report.html"}


def test_items_that_only_test_contains_are_left_out_and_counted(tmp_path: Path) -> None:
    data = load(write(tmp_path, [[5, 900], [900, 31]], [[5, 77, 900], [77, 5], [77, 78]]), min_prefix=1)

    assert data.count_items == 3
    assert data.facts["targets_left_out_as_unknown"] == 2
    # rows: 5 -> 0, 31 -> 1, 900 -> 2
    assert [data.test.visit(n).tolist() for n in range(len(data.test))] == [[0, -1], [-1]]
    assert data.test.targets.tolist() == [2, 0]


def test_baselines_count_what_they_say(tmp_path: Path) -> None:
    data = load(write(tmp_path, [[1, 2, 3], [1, 2], [1, 3]], [[1, 2], [2, 3]]), min_prefix=1)

    markov = baselines.markov(data, data.test)
    popular = baselines.popular(data, data.test)
    knn = baselines.item_knn(data, data.test)

    assert markov.rows[0, :3].tolist() == [1, 2, -1]  # after item 1: item 2 twice, item 3 once
    assert markov.scores[0, :2].tolist() == [2.0, 1.0]
    assert popular.scores[0, :3].tolist() == [3.0, 2.0, 2.0]
    assert knn.scores[0, 0] == pytest.approx(2 / np.sqrt((3 + 20) * (2 + 20)))


def test_a_visit_is_listed_by_its_counts_and_filled_up(tmp_path: Path) -> None:
    data = load(write(tmp_path, [[4, 4, 4, 3], [3, 5]], [[3, 5, 5, 4]]), min_prefix=3)

    found = baselines.session_popular(data, data.test)

    assert found.rows[0, :4].tolist() == [2, 0, 1, -1]  # item 5 twice, item 3 once, then item 4 of the catalogue


def test_lists_without_the_visit_close_up(tmp_path: Path) -> None:
    data = load(write(tmp_path, [[1, 2, 3, 4]], [[1, 2, 4]]), min_prefix=2)
    listed = Answers(np.array([[1, 2, 0, 3]], np.int32), np.array([[4.0, 3.0, 2.0, 1.0]], np.float32))

    cut = without_visited(listed, data.test)  # the visit holds rows 0 and 1

    assert cut.rows.tolist() == [[2, 3, -1, -1]]
    assert cut.scores.tolist() == [[3.0, 1.0, 0.0, 0.0]]


def test_the_first_item_is_asked_for_with_nothing_before_it(tmp_path: Path) -> None:
    data = load(write(tmp_path, [[1, 2], [2, 3]], [[2, 1], [9, 3]]), min_prefix=1)

    assert data.openings.targets.tolist() == [1]  # what train does not know is not asked for
    assert data.openings.lengths.tolist() == [0]


def test_wrong_input_is_refused_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path)]) == 2
    assert "train_sessions.parquet" in capsys.readouterr().err

    pl.DataFrame({"session": [1], "items": ["1,2"]}).write_parquet(tmp_path / "train_sessions.parquet")
    with pytest.raises(InvalidInput, match="a column of lists of integers"):
        load(tmp_path, min_prefix=1)


def test_a_test_without_any_question_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [[1, 2], [2, 3]], [[1], [2, 99], []])

    with pytest.raises(InvalidInput, match="at least one question"):
        load(tmp_path, min_prefix=1)


@pytest.mark.filterwarnings("default")
def test_one_session_is_enough_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path, [[7, 8]], [[7, 8]])

    assert main(["--data", str(data), "--seeds", "3", "--epochs", "1", "--width", "16"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["data"]["predictions"] == 1
