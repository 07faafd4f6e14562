"""The methods of the search benchmark, by the product's own code, and NDCG@10 and Recall@50 of their scores.

Judgments are pooled: an item nobody judged is unknown, not irrelevant, so `all` ranks the items that were judged for
the query. `judged_pool` ranks all items judged for any query and `full_catalogue` ranks everything; both take an
unjudged pair as irrelevant, which favours the search engine that the pool was drawn from. No method reads a judgment.
Letters: I items, T distinct texts, C content width, Q queries.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.adapters.onnx import OnnxModel, QueryEncoder, normalise
from recommender.contracts.artifacts import QUERY_ENCODER, TOKENIZER
from recommender.domain.models.arrays import Doubles, Floats
from recommender.domain.models.search import LexicalIndex, fused_scores, lexical_scores
from tokenizers import Tokenizer
from tqdm import tqdm

from benchmarks.scores import Scores
from benchmarks.search.data import Judged, SearchData
from training_jobs.content_bert.data import catalogue_pairs
from training_jobs.content_bert.model import TextModel, encode_texts
from training_jobs.content_bert.train import Settings, encode_catalogue
from training_jobs.content_bert.tune import TuneSettings, fine_tune
from training_jobs.metrics import LISTED, coverage, expected_recall, graded_ndcg

NDCG_AT, RECALL_AT = 10, 50
Search = Callable[[int], NDArray[np.floating]]  # number of a query -> (I,) scores
LoadModel = Callable[[], TextModel]
TIMED, WARM = 300, 20
EIGHT_TOKENS = "black wireless headphones with long battery life"  # eight, and the two that frame a text


def score(search: Search, judged: Sequence[Judged], *, label: str) -> Scores:
    """The metrics of a search on every query."""
    pool = np.unique(np.concatenate([one.rows for one in judged]))
    is_graded = any(len(np.unique(one.gains)) > 1 for one in judged)
    rows, lists = [], []
    for number, one in enumerate(tqdm(judged, desc=label, unit="query", leave=False, mininterval=1.0)):
        scores = search(number)
        gains = np.zeros(len(scores))
        gains[one.rows] = one.gains
        pooled = graded_ndcg(scores[pool], gains[pool], NDCG_AT)
        within = graded_ndcg(scores[one.rows], one.gains, NDCG_AT) if is_graded else pooled
        found = expected_recall(scores, one.rows[one.gains > 0], RECALL_AT)
        rows.append((within, found, pooled, graded_ndcg(scores, gains, NDCG_AT)))
        lists.append(np.argsort(-scores, kind="stable")[:LISTED])
    table = np.array(rows)  # (Q, 4)
    metric, depth = f"ndcg@{NDCG_AT}", f"recall@{RECALL_AT}"
    values = {
        "all": {metric: table[:, 0], depth: table[:, 1]},
        "judged_pool": {metric: table[:, 2]},
        "full_catalogue": {metric: table[:, 3], depth: table[:, 1]},
    }
    return Scores(values, breadth={"all": {f"coverage@{LISTED}": coverage(lists, len(scores))}})


@dataclass(frozen=True, slots=True)
class Encoded:
    """A catalogue and its queries in one content space."""

    vectors: Floats  # (T, C)
    rows: np.ndarray  # (I,)
    queries: Floats  # (Q, C) by the int8 encoder, as served
    exact_queries: Floats  # (Q, C) by the same weights in fp32
    metrics: dict[str, Any]
    cost: dict[str, float]

    def search(self, number: int) -> Floats:
        """(I,) cosine with a query."""
        cosine: Floats = (self.vectors @ self.queries[number])[self.rows]
        return cosine

    def search_exactly(self, number: int) -> Floats:
        """(I,) cosine with a query that was encoded in fp32."""
        cosine: Floats = (self.vectors @ self.exact_queries[number])[self.rows]
        return cosine


def fused(words: Search, meaning: Search) -> Search:
    """The served fusion of both."""

    def search(number: int) -> Doubles:
        return fused_scores(words(number).astype(np.float64), meaning(number))

    return search


def pretrained(data: SearchData, load_model: LoadModel) -> Encoded:
    """The weights as downloaded."""
    return _encoded(load_model(), data, Settings(), {})


def tuned(data: SearchData, load_model: LoadModel, seed: int, *, seconds: float, untuned: Encoded) -> Encoded:
    """The weights tuned on this catalogue's texts; `untuned` where the job itself turned them down."""
    torch.manual_seed(seed)
    settings = Settings(max_seconds=seconds, seed=seed)
    model = load_model()
    rng = np.random.default_rng(seed)
    pairs = catalogue_pairs(data.texts, max_pairs=settings.max_pairs, rng=rng)
    limits = TuneSettings(max_pairs=settings.max_pairs, max_seconds=settings.max_seconds)
    started = time.process_time()
    verdict = fine_tune(model, pairs, limits, clock=time.process_time)
    facts = {**verdict, "seed": seed, "cpu_seconds": round(time.process_time() - started, 1)}
    if not verdict["kept"]:
        return Encoded(untuned.vectors, untuned.rows, untuned.queries, untuned.exact_queries, facts, untuned.cost)
    return _encoded(model, data, Settings(), facts)


def _encoded(model: TextModel, data: SearchData, settings: Settings, facts: dict[str, Any]) -> Encoded:
    """By the content job's own export; `model` gets its projection on the way."""
    asked = [normalise(one.query) for one in data.judged]
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        made = encode_catalogue(model, data.texts, settings, Path(folder))
        seconds = time.process_time() - started
        tokenizer = Tokenizer.from_file(str(Path(folder) / TOKENIZER))
        encoder = QueryEncoder(OnnxModel(Path(folder) / QUERY_ENCODER), tokenizer, cached=0)
        queries = np.stack([encoder(query) for query in asked])  # (Q, C)
        exact = encode_texts(model, asked, max_tokens=settings.max_tokens, label="queries")
        cost = {
            "encode_items_cpu_seconds": round(seconds, 1),
            **milliseconds("encode_query_cpu_ms", lambda: encoder(EIGHT_TOKENS)),
            **milliseconds("encode_query_fp32_cpu_ms", lambda: encode_texts(model, [EIGHT_TOKENS])),
        }
    return Encoded(made.vectors, data.texts.rows, queries, exact, {**facts, **made.metrics}, cost)


def search_cost(index: LexicalIndex, encoded: Encoded, queries: Sequence[str]) -> dict[str, float]:
    """CPU milliseconds of one query: its words, and words and meaning fused over all items (encoding apart)."""
    several = list(range(min(len(queries), 20)))
    words = {number: lexical_scores(index, queries[number]) for number in several}

    def ask_words() -> None:
        for number in several:
            lexical_scores(index, queries[number])

    def ask_both() -> None:
        for number in several:
            fused_scores(words[number], encoded.search(number))

    return {
        name: round(value / len(several), 4)
        for found in (
            milliseconds("bm25_cpu_ms", ask_words, repeats=10),
            milliseconds("content_and_fusion_cpu_ms", ask_both, repeats=10),
        )
        for name, value in found.items()
    }


def milliseconds(name: str, run: Callable[[], object], *, repeats: int = TIMED) -> dict[str, float]:
    """p50 and p99 of the CPU time of `run`."""
    taken = []
    for turn in range(repeats + min(WARM, repeats)):
        started = time.process_time()
        run()
        if turn >= min(WARM, repeats):
            taken.append(1000.0 * (time.process_time() - started))
    middle, slow = np.percentile(taken, [50, 99])
    return {f"{name}_p50": round(float(middle), 3), f"{name}_p99": round(float(slow), 3)}
