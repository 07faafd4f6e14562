"""The bridge to other people's recommenders: what crosses it, what does not, and what is said when nobody answers.

`popular` of benchmarks.peers.fit needs numpy only, so that this interpreter can play the peers' one.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.errors import DependencyDown, InvalidInput

from benchmarks.peers import bridge
from benchmarks.peers.exchange import Ragged, Split, best, load, nothing, ragged

HERE = Path(sys.executable)
LISTS = st.lists(st.lists(st.integers(0, 8), max_size=5).map(lambda row: np.array(row, np.int32)), max_size=6)


def shop() -> Split:
    """Item 2 was seen three times, item 0 twice, items 1 and 3 once, item 4 never."""
    train = ragged([np.array(row) for row in ([2, 0, 2], [0, 1], [3, 2])])
    histories = ragged([np.array([0, 1]), np.array([], np.int32)])
    excluded = ragged([np.array([2]), np.array([], np.int32)])
    return Split(5, 3, train, histories, excluded, ragged([np.array([3]), np.array([2])]))


def test_lists_come_back_without_excluded_items_and_ties_by_row(tmp_path: Path) -> None:
    found = bridge.fetch_lists(HERE, tail=shop(), test=shop(), methods=["popular"], kept=tmp_path)["popular"]

    assert found.rows.tolist() == [[0, 1, 3], [2, 0, 1]]
    assert found.scores[1].tolist() == [3.0, 2.0, 1.0]
    assert found.facts["cpu_seconds"] >= 0.0 and "numpy" in found.facts["versions"]


def test_the_targets_of_the_test_stay_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = tmp_path / "python"
    spy.write_text(f'#!/bin/sh\ncp "$3/test.npz" "{tmp_path}"\nexec "{HERE}" "$@"\n')
    spy.chmod(0o755)

    bridge.fetch_lists(spy, tail=shop(), test=shop(), methods=["popular"], kept=tmp_path)

    seen = load(tmp_path / "test.npz")
    assert len(seen.targets.items) == 0
    assert seen.histories.items.tolist() == shop().histories.items.tolist()


def test_an_interpreter_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="make bench-peers"):
        bridge.interpreter(str(tmp_path / "bin/python"))

    assert bridge.interpreter(sys.executable) == HERE


def test_a_peer_that_crashes_gives_one_error_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(DependencyDown, match=r"implicit_ials gave up with exit code 1: .*No module named 'implicit'"):
        bridge.fetch_lists(HERE, tail=shop(), test=shop(), methods=["implicit_ials"], kept=tmp_path)


def test_answers_are_kept_until_anything_they_depend_on_changes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = bridge.fetch_lists(HERE, tail=shop(), test=shop(), methods=["popular"], kept=tmp_path)["popular"]
    again = bridge.fetch_lists(HERE, tail=shop(), test=shop(), methods=["popular"], kept=tmp_path)["popular"]
    assert again.rows.tolist() == first.rows.tolist()
    assert capfd.readouterr().err.count("kept answers") == 1

    bridge.fetch_lists(HERE, tail=shop(), test=replace(shop(), listed=2), methods=["popular"], kept=tmp_path)
    bridge.fetch_lists(HERE, tail=shop(), test=shop(), methods=["popular"], kept=tmp_path, seed=2)
    assert "kept answers" not in capfd.readouterr().err
    assert len(list(tmp_path.glob("popular-*"))) == 3


@settings(max_examples=40, deadline=None)
@given(LISTS)
def test_lists_laid_end_to_end_are_the_lists(lists: list[np.ndarray]) -> None:
    laid = ragged(lists)

    assert [laid.of(n).tolist() for n in range(len(laid))] == [row.tolist() for row in lists]
    assert laid.sizes.tolist() == [len(row) for row in lists]


@settings(max_examples=40, deadline=None)
@given(LISTS)
def test_the_tail_by_last_event_takes_one_event_from_whoever_has_two(lists: list[np.ndarray]) -> None:
    tail = bridge.last_events(ragged(lists), count_items=9, listed=3, excludes_history=True)

    assert [tail.train.of(n).tolist() for n in range(len(lists))] == [
        row[:-1].tolist() if len(row) > 1 else row.tolist() for row in lists
    ]
    long = [row for row in lists if len(row) > 1]
    assert tail.targets.items.tolist() == [row[-1] for row in long]
    assert tail.histories.items.tolist() == tail.excluded.items.tolist() == [i for row in long for i in row[:-1]]


@settings(max_examples=40, deadline=None)
@given(LISTS.filter(lambda lists: len(lists) > 1))
def test_the_tail_by_time_holds_no_sequence_that_its_train_holds(lists: list[np.ndarray]) -> None:
    tail = bridge.newest_sequences(ragged(lists), count_items=9, listed=3)

    assert len(tail.train) == len(lists) - 1  # 5 % of a few sequences: one
    asked = len(lists[-1]) > 1
    assert len(tail) == len(tail.targets.items) == int(asked)
    if asked:
        size = len(tail.histories.of(0))
        assert tail.histories.of(0).tolist() == lists[-1][:size].tolist()
        assert tail.targets.items.tolist() == [lists[-1][size]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.integers(1, 14))
def test_best_is_the_head_of_a_full_sort(values: list[int], count: int) -> None:
    scores = np.array([values], np.float32)
    scores[scores == -3] = -np.inf  # not listed

    rows, _ = best(scores, count)

    order = [n for n in np.argsort(-scores[0], kind="stable") if np.isfinite(scores[0, n])]
    assert rows[0].tolist() == (order + [-1] * count)[:count]


def test_a_split_survives_its_file(tmp_path: Path) -> None:
    shop().save(tmp_path / "split.npz")

    again = load(tmp_path / "split.npz")

    assert (again.count_items, again.listed) == (5, 3)
    for name in ("train", "histories", "excluded", "targets"):
        part: Ragged = getattr(again, name)
        assert part.items.tolist() == getattr(shop(), name).items.tolist()
    assert len(nothing(4)) == 4 and len(nothing(0)) == 0
