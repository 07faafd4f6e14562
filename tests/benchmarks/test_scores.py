"""Scores of methods: averaged over seeds question by question, then over questions."""

from __future__ import annotations

import numpy as np

from benchmarks.scores import Scores, mean_of


def scores(values: list[float], coverage: float) -> Scores:
    return Scores({"all": {"ndcg@10": np.array(values)}}, breadth={"all": {"coverage@20": coverage}})


def test_seeds_are_averaged_question_by_question_and_their_breadth_with_them() -> None:
    found = mean_of([scores([0.0, 1.0], 0.2), scores([1.0, 1.0], 0.4)])

    assert found.values["all"]["ndcg@10"].tolist() == [0.5, 1.0]
    assert found.means() == {"all": {"ndcg@10": 0.75, "coverage@20": 0.3}}


def test_intervals_are_wider_where_questions_belong_to_few_sessions() -> None:
    values = {"all": {"hr@20": np.repeat(np.arange(100) % 2, 8).astype(float)}}

    alone = Scores(values).intervals()["all"]["hr@20"]
    by_session = Scores(values, {"all": np.repeat(np.arange(100), 8)}).intervals()["all"]["hr@20"]

    assert by_session[1] - by_session[0] > 2.0 * (alone[1] - alone[0])


def test_joined_scores_have_the_strata_of_both_and_the_breadth_of_the_first() -> None:
    opening = Scores({"events_0": {"ndcg@10": np.array([1.0])}})

    assert scores([0.5], 0.2).joined(opening).means() == {
        "all": {"ndcg@10": 0.5, "coverage@20": 0.2},
        "events_0": {"ndcg@10": 1.0},
    }
