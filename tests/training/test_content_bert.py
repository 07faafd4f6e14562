"""The content model on a tiny random BERT, and once on the real weights."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from recommender.adapters.onnx import OnnxModel, QueryEncoder
from recommender.domain.models.search import words
from recommender.errors import ArtifactRefused

from tests.training.small_exports import KINDS, SIZES, START, small_exports
from tests.training.tiny_bert import WIDTH, tiny_text_model
from training_jobs.content_bert.data import Pair, catalogue_texts, item_text, item_texts, split, training_pairs
from training_jobs.content_bert.model import TextModel, encode_texts, encode_with, load_pretrained, run_torch, tokenize
from training_jobs.content_bert.train import Settings, encode_catalogue
from training_jobs.content_bert.tune import TuneSettings, _belongs, _train, fine_tune, is_better, retrieval
from training_jobs.onnx_models import TrainingFailed

TEXTS = ["apple juice small", "rye bread", "green tea large food acme", "cheddar cheese", "rye bread"]


@pytest.fixture
def model() -> TextModel:
    return tiny_text_model()


def test_an_item_text_says_each_thing_once() -> None:
    text = item_text("Rye bread, 500 g", "FOOD > BREAD > RYE BREAD", "Acme", "Rye bread; bread; food; 500 g")

    assert text == "Rye bread, 500 g. FOOD. Acme"


def test_a_description_with_something_to_say_is_kept() -> None:
    text = item_text("Rye bread", "Food", "", "Dark, dense and slightly sour, baked on stone")

    assert text == "Rye bread. Food. Dark, dense and slightly sour, baked on stone"


def test_reviews_come_last_and_where_a_catalogue_has_them() -> None:
    items = pl.DataFrame({"title": ["Rye bread"], "category": ["Food"], "brand": [None], "description": [None]})

    assert item_texts(items).texts == ("Rye bread. Food",)
    reviewed = items.with_columns(pl.lit("Keeps fresh for a week").alias("reviews"))
    assert item_texts(reviewed).texts == ("Rye bread. Food. Keeps fresh for a week",)


def test_a_huge_text_is_cut_and_nothing_is_made_of_none() -> None:
    assert len(item_text("tea " * 100_000, "", "", "word " + " ".join(map(str, range(100_000))))) <= 4_002
    assert item_text("", "", "", "") == ""


def test_every_item_has_a_row_in_order_of_its_id() -> None:
    exports = small_exports()

    texts = catalogue_texts(exports)

    by_item = texts.by_item(exports.item_ids.tolist())
    assert len(texts.rows) == len(KINDS) * len(SIZES)
    assert by_item["app-s"].startswith("apple juice small")
    assert by_item["gre-l"].startswith("green tea large")
    assert max(texts.rows) == len(texts.texts) - 1


def test_pairs_come_from_the_catalogue_searches_and_orders_before_the_holdout() -> None:
    exports = small_exports()
    texts = catalogue_texts(exports)

    pairs = training_pairs(exports, texts, until=START + timedelta(days=1), max_pairs=50, rng=np.random.default_rng(1))

    assert {pair.kind for pair in pairs} == {"title", "query", "bought"}
    searched = [pair.left for pair in pairs if pair.kind == "query" and not pair.source]
    assert searched == ["apple"]  # of the first day only; phrases of the texts make up for what nobody searched
    assert len([pair for pair in pairs if pair.kind == "bought"]) == 1
    assert len([pair for pair in pairs if pair.kind == "title"]) == 12


def test_where_nobody_searched_words_of_the_texts_stand_in() -> None:
    exports = small_exports()
    texts = catalogue_texts(exports)

    pairs = training_pairs(exports, texts, until=START, max_pairs=50, rng=np.random.default_rng(1))

    queries = [pair for pair in pairs if pair.kind == "query"]
    assert queries
    assert all(set(pair.left.split()) <= set(words(pair.source)) for pair in queries)


def test_a_held_out_text_is_never_a_target_in_training() -> None:
    pairs = [Pair("title", f"title {n}", f"text {n % 40}") for n in range(200)]

    training, held_out = split(pairs)

    assert held_out
    assert len(training) + len(held_out) == 200
    assert not {pair.right for pair in training} & {pair.right for pair in held_out}


def test_vectors_are_unit_length_and_in_the_order_of_the_texts(model: TextModel) -> None:
    vectors = encode_texts(model, TEXTS, batch_size=2)
    alone = np.concatenate([encode_texts(model, [text]) for text in TEXTS])

    assert vectors.shape == (5, WIDTH)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.allclose(vectors, alone, atol=1e-5)  # padding does not leak into a vector
    assert np.array_equal(vectors[1], vectors[4])


def test_equal_texts_are_encoded_once(model: TextModel) -> None:
    rows = []

    def counting(input_ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        rows.append(len(input_ids))
        return run_torch(model.encoder)(input_ids, mask)

    encode_with(counting, model.tokenizer, ["tea", "rye bread", "tea", "tea"])

    assert sum(rows) == 2


def test_no_texts_give_no_vectors(model: TextModel) -> None:
    assert encode_texts(model, []).size == 0


def test_long_texts_are_cut_and_keep_their_closing_token(model: TextModel) -> None:
    (ids,) = tokenize(model.tokenizer, ["tea " * 100], 8)

    assert len(ids) == 8
    assert ids[0] == model.tokenizer.token_to_id("[CLS]")
    assert ids[-1] == model.tokenizer.token_to_id("[SEP]")


def test_the_tiny_catalogue_is_encoded_projected_and_exported_alike(model: TextModel, tmp_path: Path) -> None:
    texts = catalogue_texts(small_exports())

    made = encode_catalogue(model, texts, Settings(content_width=8, sample_texts=12), tmp_path)

    assert made.vectors.shape == (12, 8)
    parity = made.metrics["onnx_parity"]["query_encoder.onnx"]
    assert parity["max_abs_difference"] <= 1e-4
    assert 0.0 < parity["rank_agreement"] <= 1.0
    assert made.metrics["int8"]["cosine_min"] > 0.95
    encoder = QueryEncoder.load(OnnxModel(tmp_path / "query_encoder.onnx"), tmp_path / "tokenizer.json")
    served = encoder(texts.texts[3])
    assert served.shape == (8,)
    assert float(served @ made.vectors[3]) > 0.98  # int8 quantises a batch and a single text differently


def test_a_catalogue_without_items_is_refused(model: TextModel, tmp_path: Path) -> None:
    nothing = item_texts(pl.DataFrame({"title": []}, {"title": pl.String}))

    with pytest.raises(ArtifactRefused, match="0 items"):
        encode_catalogue(model, nothing, Settings(), tmp_path)


def test_tuning_that_helps_is_kept_and_only_the_last_layers_move(model: TextModel) -> None:
    before = model.state()
    pairs = learnable_pairs()

    metrics = fine_tune(model, pairs, TuneSettings(batch_size=32, learning_rate=3e-3, layers=1))

    assert metrics["kept"]
    assert np.mean(list(metrics["mrr_after"].values())) > np.mean(list(metrics["mrr_before"].values()))
    moved = {name for name, value in model.encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all("layer.1." in name for name in moved)


def test_tuning_that_harms_is_undone(model: TextModel) -> None:
    before = model.state()

    metrics = fine_tune(model, learnable_pairs(), TuneSettings(batch_size=16, learning_rate=10.0, max_pairs=200))

    assert not metrics["kept"]
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())


def test_tuning_stops_when_its_time_is_up(model: TextModel) -> None:
    ticks = itertools.count()

    metrics = fine_tune(
        model, learnable_pairs(), TuneSettings(batch_size=16, max_seconds=3.5), clock=lambda: float(next(ticks))
    )

    assert not fine_tune(model, learnable_pairs(), TuneSettings(max_seconds=0.0))["kept"]
    assert len(metrics["loss"]) == 3  # looks at 1, 2 and 3 seconds; the look at 4 ends it


def test_an_item_that_has_the_words_of_a_query_belongs_to_it() -> None:
    batch = [
        Pair("query", "green tea", "in a tin", "Green tea in a tin"),
        Pair("query", "rye", "Rye bread"),
        Pair("title", "Teas, green", "a cup of green tea"),
    ]

    assert _belongs(batch).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_a_loss_that_is_no_number_stops_the_tuning_and_names_its_batch(model: TextModel) -> None:
    with torch.no_grad():
        next(model.encoder.parameters()).fill_(float("nan"))

    with pytest.raises(TrainingFailed, match="content_bert, batch 0"):
        _train(model, learnable_pairs(), TuneSettings(batch_size=16), lambda: 0.0)


def test_without_pairs_nothing_is_tuned(model: TextModel) -> None:
    assert not fine_tune(model, [], TuneSettings())["kept"]


def test_a_better_mean_does_not_excuse_worse_searches() -> None:
    before = {"title": 0.2, "query": 0.7, "bought": 0.1}

    assert is_better(before, {"title": 0.3, "query": 0.7, "bought": 0.1})
    assert not is_better(before, {"title": 0.5, "query": 0.6, "bought": 0.1})
    assert not is_better(before, before)
    assert not is_better({}, {})


def test_equal_scores_count_at_their_expected_rank(model: TextModel) -> None:
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
    pairs = [Pair("title", f"apple {n}", text) for n, text in enumerate(("tea", "rye", "bread"))]

    assert retrieval(model, pairs, 32) == {"title": 0.5}  # three equal scores: rank (1 + 3) / 2


def test_texts_with_the_words_of_a_query_are_no_rivals_to_its_answer(model: TextModel) -> None:
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
    pairs = [Pair("query", "tea", "green tea"), Pair("title", "x", "tea pot"), Pair("title", "y", "rye bread")]

    found = retrieval(model, pairs, 32)

    assert found["query"] == round(1 / 1.5, 4)  # equal to the bread alone
    assert found["title"] == 0.5  # rank 2 of three equal ones


@pytest.mark.slow
def test_the_real_weights_know_what_belongs_together() -> None:
    model = load_pretrained()

    vectors = encode_texts(model, ["orange juice", "fresh squeezed oranges", "motor oil 5W-30"])

    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def learnable_pairs() -> list[Pair]:
    """Titles and the kind they belong to: letters decide, so that held-out texts can be learned from others."""
    words = [f"{first}{second}" for first, second in itertools.product("abcdefghijklm", "nopqrstuvwxyz")]
    pairs = [
        Pair(kind, f"{word} {other}", f"tea {word} food {other}")
        for kind in ("title", "query")
        for word, other in itertools.product(words, ("apple", "rye", "green", "juice"))
    ]
    return [pairs[index] for index in np.random.default_rng(5).permutation(len(pairs))]
