"""Word search: BM25F by hand, and the fusion with content."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.models.search import fused_scores, lexical_scores, words
from recommender.domain.serving.candidates import candidates
from recommender.domain.serving.visit import ANONYMOUS

from tests.domain.visits import page, visit
from tests.tiny_bundle import COUNT, tiny_bundle
from training_jobs.content_bert.lexical import FieldWeight, LexicalSettings, build_index

SHOP = {"title": ["rye bread", "green tea", "tea pot"], "brand": ["Acme", "Leaf", ""]}


def test_words_are_folded_and_singular() -> None:
    assert words("Batteries, 2 USB-Cables & a Glass bus") == ["battery", "2", "usb", "cable", "a", "glass", "bus"]


def test_one_word_of_one_field_is_bm25() -> None:
    index = build_index({"title": ["tea tea", "tea pot"]}, LexicalSettings(1.2, {"title": FieldWeight(1.0)}))

    idf = log(1 + 0.5 / 2.5)  # two items, both have it
    assert lexical_scores(index, "tea") == pytest.approx([idf * 2.2 * 2 / (1.2 + 2), idf * 2.2 * 1 / (1.2 + 1)])


def test_fields_add_up_before_they_saturate() -> None:
    settings = LexicalSettings(1.2, {"title": FieldWeight(3.0, 0.0), "brand": FieldWeight(1.0, 0.0)})
    index = build_index({"title": ["acme", "tea"], "brand": ["acme", ""]}, settings)

    idf = log(1 + 1.5 / 1.5)
    assert lexical_scores(index, "ACME") == pytest.approx([idf * 2.2 * 4 / (1.2 + 4), 0.0])


def test_a_longer_title_counts_less() -> None:
    index = build_index({"title": ["tea", "tea with a long list of words", "bread"]})

    short, long, none = lexical_scores(index, "tea")
    assert short > long > none == 0.0


@pytest.mark.parametrize("query", ["", "  ", "☃", "unheard of", "x" * 10_000])
def test_words_that_nobody_uses_find_nothing(query: str) -> None:
    assert lexical_scores(build_index(SHOP), query).tolist() == [0.0, 0.0, 0.0]


def test_a_catalogue_without_words_or_items_finds_nothing() -> None:
    assert lexical_scores(build_index({"title": ["", ""]}), "tea").tolist() == [0.0, 0.0]
    assert lexical_scores(build_index({"title": []}), "tea").tolist() == []


@given(st.lists(st.sampled_from(["rye", "bread", "green", "tea", "pot", "acme", "leaf", "cup"]), max_size=6))
def test_the_words_of_a_query_add_up_in_any_order(asked: list[str]) -> None:
    index = build_index(SHOP)

    one_by_one = sum((lexical_scores(index, word) for word in set(asked)), np.zeros(3))
    assert lexical_scores(index, " ".join(asked)) == pytest.approx(one_by_one)


def test_words_and_meaning_are_fused_by_their_largest_value() -> None:
    fused = fused_scores(np.array([4.0, 2.0, 0.0]), np.array([0.0, 0.6, -1.0], np.float32))

    assert fused == pytest.approx([0.2 * 1 + 0.8 * 1 / 1.6, 0.2 * 0.5 + 0.8 * 1, 0.0])


def test_each_part_decides_alone_where_the_other_has_nothing_to_say() -> None:
    assert fused_scores(np.array([4.0, 2.0]), None).tolist() == [1.0, 0.5]
    assert np.argsort(fused_scores(np.zeros(2), np.array([0.1, 0.4]))).tolist() == [0, 1]
    assert len(fused_scores(np.zeros(0), np.zeros(0))) == 0


def test_a_query_brings_the_items_that_have_its_words() -> None:
    wanted = build_index({"title": ["rye bread" if row in (17, 99) else "tea" for row in range(COUNT)]})
    bundle = tiny_bundle(lexical=wanted)

    found = candidates(bundle, ANONYMOUS, visit(), page(search_term="rye bread"), limit=100)

    assert {17, 99} <= set(found.rows.tolist())
    assert found.signals.search_scores is not None
    assert found.signals.search_scores[[17, 99]].min() >= 0.2


@pytest.mark.parametrize("query", ["", None, "☃"])
def test_a_query_without_words_gives_candidates_all_the_same(query: str | None) -> None:
    found = candidates(tiny_bundle(), ANONYMOUS, visit(), page(search_term=query), limit=100)

    assert len(found.rows)
    assert np.isfinite(found.strengths).all()
