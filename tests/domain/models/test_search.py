"""Word search: BM25F by hand, and the fusion with content.

Fusion by rank and by share, with its tie rule.
"""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.models.search import Fusion, RankedList, fuse, fused_scores, lexical_scores, words
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


EMPTY: RankedList = (np.empty(0, np.int32), np.empty(0, np.float32))


def listed(*rows: int) -> RankedList:
    return np.array(rows, np.int32), np.linspace(1.0, 0.1, len(rows)).astype(np.float32)


def test_reciprocal_ranks_are_added() -> None:
    rows, scores = fuse([listed(7, 3), listed(3, 5)], Fusion("rank", (0.5, 0.5)), limit=10)

    assert rows.tolist() == [3, 7, 5]
    assert scores == pytest.approx([0.5 / 62 + 0.5 / 61, 0.5 / 61, 0.5 / 62])


def test_equal_scores_go_to_the_first_list_then_to_the_lower_row() -> None:
    rows, scores = fuse([listed(9), listed(2)], Fusion("rank", (0.5, 0.5)), limit=10)

    assert scores[0] == scores[1]
    assert rows.tolist() == [9, 2]


def test_shares_are_mixed_by_weight() -> None:
    first = np.array([1, 2]), np.array([3.0, 1.0])
    second = np.array([2]), np.array([8.0])

    rows, scores = fuse([first, second], Fusion("share", (0.4, 0.6)), limit=10)

    assert rows.tolist() == [2, 1]
    assert scores == pytest.approx([0.4 * 1 / 4 + 0.6, 0.4 * 3 / 4])


def test_a_list_without_weight_adds_no_item_and_an_empty_one_no_error() -> None:
    rows, _ = fuse([listed(1, 2), listed(8)], Fusion("rank", (1.0, 0.0)), limit=10)
    alone, _ = fuse([EMPTY, listed(8)], Fusion("share", (0.5, 0.5)), limit=10)
    nothing, _ = fuse([EMPTY, EMPTY], Fusion("rank", (0.5, 0.5)), limit=10)

    assert rows.tolist() == [1, 2]
    assert alone.tolist() == [8]
    assert nothing.tolist() == []


rankings = st.lists(st.integers(0, 30), unique=True, max_size=12)


@given(rankings, rankings, st.sampled_from(["rank", "share"]))
def test_an_item_first_in_all_lists_is_first(one: list[int], other: list[int], by: str) -> None:
    best = 99
    fusion = Fusion(by, (0.3, 0.7))  # type: ignore[arg-type]

    rows, scores = fuse([listed(best, *one), listed(best, *other)], fusion, limit=50)

    assert rows[0] == best
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(scores) <= 1e-9).all()
