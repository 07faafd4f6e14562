"""Queries made of a catalogue's own phrases."""

from __future__ import annotations

import numpy as np

from training_jobs.content_bert.data import pseudo_queries

TEXTS = [f"Acme wireless mouse M{number}" for number in range(20)] + ["Rye bread", "", "12 34"]


def test_a_query_is_a_phrase_of_its_text_that_others_share() -> None:
    found = pseudo_queries(TEXTS[:20] + [f"rye bread {n}" for n in range(100)], 200, np.random.default_rng(1))

    assert all(query in TEXTS[row].casefold() for row, query, _ in found if row < 20)
    assert {query for row, query, _ in found if row < 20} & {"mouse", "wireless", "wireless mouse", "acme"}
    assert not [query for row, query, _ in found if row < 20 and f"m{row}" in query.split()]


def test_half_of_the_answers_lack_the_phrase() -> None:
    found = pseudo_queries(TEXTS * 20, 400, np.random.default_rng(1))

    without = [query not in answer.casefold() for _, query, answer in found]
    assert 0.3 < np.mean(without) < 0.7
    assert all(answer.strip() for _, _, answer in found)


def test_texts_without_words_ask_nothing() -> None:
    assert pseudo_queries(["", "12 34", "!?"], 10, np.random.default_rng(1)) == []
    assert len(pseudo_queries(TEXTS, 3, np.random.default_rng(1))) == 3
