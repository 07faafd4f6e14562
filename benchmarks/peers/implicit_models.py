"""`implicit`: ItemKNN in its three weightings and iALS, each chosen on the tail of train and refitted on all of it."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from implicit.utils import ParameterWarning

from benchmarks.peers.exchange import Lists, Ragged, Scores, Split, lists_of, progress, recall

KNN = {"tf-idf": TFIDFRecommender, "cosine": CosineRecommender, "bm25": BM25Recommender}
NEIGHBOURS = (100, 500)
ALS = tuple(  # the most promising first: the choice may be cut short by the bound on CPU
    {"factors": factors, "alpha": alpha, "regularization": ridge}
    for factors, alpha, ridge in (
        (128, 10.0, 30.0),
        (64, 10.0, 10.0),
        (128, 40.0, 30.0),
        (64, 1.0, 1.0),
        (64, 40.0, 10.0),
        (128, 1.0, 10.0),
        (128, 40.0, 100.0),
    )
)
ITERATIONS = 15


def item_knn(tail: Split, test: Split, *, seed: int, seconds: float) -> tuple[Lists, dict[str, Any]]:
    """Sum over the history of the likeness of items; nothing in it is random."""
    warnings.filterwarnings("ignore", category=ParameterWarning)  # about a matrix that the package makes itself
    choices = [{"weighting": name, "neighbours": count} for name in KNN for count in NEIGHBOURS]
    chosen, recalls = _choose(choices, lambda choice: lists_of(_knn(tail, choice), tail), tail, seconds / 2)
    return lists_of(_knn(test, chosen), test), {**chosen, "tail_recall@20": recalls}


def ials(tail: Split, test: Split, *, seed: int, seconds: float) -> tuple[Lists, dict[str, Any]]:
    """A shopper is folded in from the history, as `implicit` does for new users."""
    chosen, recalls = _choose(list(ALS), lambda choice: lists_of(_als(tail, choice, seed), tail), tail, seconds / 2)
    return lists_of(_als(test, chosen, seed), test), {**chosen, "tail_recall@20": recalls}


def _choose(
    choices: list[dict[str, Any]], answer: Any, tail: Split, seconds: float
) -> tuple[dict[str, Any], dict[str, float]]:
    """The choice with the best Recall@20 on the tail, within a bound on CPU seconds; the first without a tail."""
    recalls: list[float] = []
    started = time.process_time()
    for choice in choices if len(tail) else []:
        if recalls and (time.process_time() - started) * (len(recalls) + 1) / len(recalls) > seconds:
            progress(f"  {len(choices) - len(recalls)} choices left out: the bound of {seconds:.0f} CPU seconds")
            break
        recalls.append(recall(answer(choice)[0], tail))
        progress(f"  {choice}: tail recall@20 {recalls[-1]:.4f}")
    names = ["/".join(str(value) for value in choice.values()) for choice in choices[: len(recalls)]]
    found = {name: round(value, 5) for name, value in zip(names, recalls, strict=True)}
    return choices[int(np.argmax(recalls)) if recalls else 0], found


def _knn(split: Split, choice: dict[str, Any]) -> Scores:
    model = KNN[choice["weighting"]](K=choice["neighbours"], num_threads=1)
    model.fit(_matrix(split.train, split.count_items), show_progress=False)
    asked, likeness = _matrix(split.histories, split.count_items), sp.csr_matrix(model.similarity)

    def scores(numbers: np.ndarray) -> np.ndarray:
        found = np.asarray((asked[numbers] @ likeness).todense(), np.float32)
        return np.where(found > 0, found, -np.inf)

    return scores


def _als(split: Split, choice: dict[str, Any], seed: int) -> Scores:
    model = AlternatingLeastSquares(**choice, iterations=ITERATIONS, random_state=seed, num_threads=1)
    trained = _matrix(split.train, split.count_items)
    model.fit(trained, show_progress=False)
    is_known = np.bincount(trained.indices, minlength=split.count_items) > 0
    asked = _matrix(split.histories, split.count_items)

    def scores(numbers: np.ndarray) -> np.ndarray:
        users = model.recalculate_user(numbers, asked[numbers])
        found = np.where(is_known, users @ model.item_factors.T, -np.inf)
        found[split.histories.sizes[numbers] == 0] = -np.inf
        return found

    return scores


def _matrix(lists: Ragged, count_items: int) -> sp.csr_matrix:
    """(N, I) how often each item occurs in each list."""
    values = np.ones(len(lists.items), np.float32)
    matrix = sp.csr_matrix((values, lists.items, lists.offsets), shape=(len(lists), count_items))
    matrix.sum_duplicates()
    return matrix
