"""Next-item questions, their metrics, and the fused session model's choices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recommender.domain.models.search import Fusion

from training_jobs.next_item.encoder import EncoderSettings
from training_jobs.next_item.encoder_training import Sequences, TrainingSettings
from training_jobs.next_item.prefixes import Answers, all_prefixes, collect, next_item_metrics
from training_jobs.next_item.session_model import SessionModel, SessionModelSettings, fit_session_model

COUNT = 40


def answers(rows: list[int], scores: list[float]) -> Answers:
    return collect([(np.array(rows), np.array(scores))])


def test_every_prefix_asks_for_the_next_known_item() -> None:
    offsets, items = np.array([0, 3, 3, 5]), np.array([4, -1, 6, 7, 7], np.int32)

    prefixes = all_prefixes(offsets, items)

    assert [prefixes.visit(n).tolist() for n in range(len(prefixes))] == [[4, -1], [7]]
    assert prefixes.targets.tolist() == [6, 7]
    assert prefixes.lengths.tolist() == [2, 1]
    assert prefixes.repeats().tolist() == [False, True]
    assert prefixes.newest(3).tolist() == [[-1, 4, -1], [-1, -1, 7]]
    assert all_prefixes(offsets, items, least=2).targets.tolist() == [6]


def test_a_rank_is_marked_by_its_definition() -> None:
    found = next_item_metrics(answers([8, 3, 5], [0.9, 0.5, 0.1]), np.array([3], np.int32))

    assert found["hr@5"] == pytest.approx([1.0])
    assert found["mrr@20"] == pytest.approx([1 / 2])
    assert found["ndcg@20"] == pytest.approx([1 / np.log2(3)])


def test_equal_scores_count_at_their_expected_rank() -> None:
    found = next_item_metrics(answers(list(range(8)), [1.0] + [0.5] * 6 + [0.1]), np.array([4], np.int32))

    # one above, six equal: ranks 2..7 alike
    assert found["hr@5"] == pytest.approx([4 / 6])
    assert found["mrr@20"] == pytest.approx([np.mean([1 / rank for rank in range(2, 8)])])


def test_what_is_not_listed_or_beyond_the_cutoff_is_no_hit() -> None:
    many = answers(list(range(30)), list(np.linspace(1, 0.1, 30)))

    assert next_item_metrics(many, np.array([25], np.int32))["mrr@20"] == pytest.approx([0.0])
    assert next_item_metrics(many, np.array([99], np.int32))["hr@20"] == pytest.approx([0.0])
    nothing = collect([(np.empty(0, int), np.empty(0))])
    assert next_item_metrics(nothing, np.array([0], np.int32))["hr@20"] == pytest.approx([0.0])


def sessions(count: int) -> tuple[Sequences, np.ndarray]:
    starts = np.random.default_rng(4).integers(0, COUNT, count)
    rows = (starts[:, None] + np.arange(4)) % COUNT
    return Sequences(np.arange(count + 1, dtype=np.int64) * 4, rows.ravel().astype(np.int32)), np.arange(
        count, dtype=float
    )


def fitted(count: int, seed: int = 1) -> SessionModel:
    torch.set_num_threads(1)
    train, days = sessions(count)
    settings = SessionModelSettings(
        EncoderSettings(width=16, hidden=32),
        TrainingSettings(epochs=14, targets=192, negatives=64, peak_rate=0.02, seed=seed),
        refit=False,
    )
    return fit_session_model(train, days, count_items=COUNT, settings=settings)


def test_the_fused_model_answers_with_its_members() -> None:
    model = fitted(800)
    asked, _ = sessions(60)

    found = model.answers(all_prefixes(asked.offsets, asked.items))

    assert set(found) == {"session_encoder", "vstan", "plain_fusion", "hybrid"}
    hits = {
        name: next_item_metrics(listed, all_prefixes(asked.offsets, asked.items).targets)["hr@5"].mean()
        for name, listed in found.items()
    }
    assert hits["hybrid"] > 0.9
    assert len(model.choices) > 5  # made on the tail


def test_too_short_a_tail_decides_nothing() -> None:
    model = fitted(40)

    assert model.choices == {}
    assert model.fusion == Fusion("rank", (0.5, 0.5))


def test_a_visit_without_known_items_gets_an_empty_list() -> None:
    model = fitted(60)
    nothing = all_prefixes(np.array([0, 2]), np.array([-1, 3], np.int32))

    found = model.answers(nothing)

    assert all((listed.rows == -1).all() for listed in found.values())


STRANGE: dict[str, list[list[int]]] = {
    "no session": [],
    "one empty session": [[]],
    "sessions of one item": [[n % 5] for n in range(300)],
    "a catalogue of one": [[0, 0, 0] for _ in range(300)],
    "one item a thousand times": [[1, 2], [3] * 1000, [1, 2]],
    "a tail that asks nothing": [[n % 5, (n + 1) % 5] for n in range(300)] + [[3]] * 30,
    "a tail of items the head lacks": [[0, 1]] * 300 + [[2, 3, 4]] * 19,
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_sessions_give_a_model_that_answers(name: str) -> None:
    torch.set_num_threads(1)
    lists = STRANGE[name]
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    items = np.array([row for session in lists for row in session], np.int32)
    count_items = max(int(items.max(initial=0)) + 1, 1)
    settings = SessionModelSettings(
        EncoderSettings(width=8, hidden=8), TrainingSettings(epochs=1, targets=64, negatives=16)
    )

    model = fit_session_model(
        Sequences(offsets, items), np.arange(len(lists), dtype=float), count_items=count_items, settings=settings
    )

    asked = all_prefixes(np.array([0, 2, 1003]), np.array([0, 0, *[0] * 1001], np.int32))
    for listed in model.answers(asked.take(np.array([0, 1, 1000]))).values():
        assert np.isfinite(listed.scores).all()
        assert (listed.rows < count_items).all()
