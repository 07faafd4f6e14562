"""Builds the word index of the catalogue: BM25F impacts, term by term.

impact(t, i) = idf(t) * (k1 + 1) * tf / (k1 + tf), tf = sum over fields f of w_f * tf_f / (1 - b_f + b_f * len_f /
mean len_f), idf(t) = ln(1 + (I - n_t + 0.5) / (n_t + 0.5)) (Robertson and Zaragoza 2009, section 3.6). The settings
are the usual ones, tuned on no judgments. Letters: I items, V terms, P postings.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from recommender.domain.models.arrays import Counts, Doubles
from recommender.domain.models.search import LexicalIndex, words


@dataclass(frozen=True, slots=True)
class FieldWeight:
    """The weight of a word in a field, and the strength of the penalty on long fields."""

    weight: float
    b: float = 0.75


@dataclass(frozen=True, slots=True)
class LexicalSettings:
    """BM25F settings: the title counts threefold, long lists of attributes count little."""

    k1: float = 1.2
    fields: Mapping[str, FieldWeight] = field(
        default_factory=lambda: {
            "title": FieldWeight(3.0),
            "description": FieldWeight(1.0),
            "category": FieldWeight(1.0),
            "brand": FieldWeight(1.0),
            "attributes": FieldWeight(0.5),
            "reviews": FieldWeight(0.5),
        }
    )


def build_index(texts: Mapping[str, Sequence[str]], settings: LexicalSettings | None = None) -> LexicalIndex:
    """Index I items; `texts` maps a field to its I texts, and a field without settings is left out."""
    settings = settings or LexicalSettings()
    count_items = len(next(iter(texts.values()), ()))
    numbers: dict[str, int] = {}  # term -> number in order of first use
    parts = [
        _field_postings(texts[name], weighting, numbers) for name, weighting in settings.fields.items() if name in texts
    ]
    spelled = np.array([term.encode() for term in numbers] or [b""], np.bytes_)[: len(numbers)]  # (V,)
    order = np.argsort(spelled, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    postings = _summed(parts, place)
    counts = np.bincount(postings.terms, minlength=len(order))  # (V,) items of each term
    idf = np.log1p((count_items - counts + 0.5) / (counts + 0.5))
    tf = postings.counts
    return LexicalIndex(
        spelled[order],
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        postings.rows.astype(np.int32),
        (idf[postings.terms] * (settings.k1 + 1.0) * tf / (settings.k1 + tf)).astype(np.float32),
        count_items,
    )


@dataclass(frozen=True, slots=True)
class _Postings:
    """P occurrences of terms in items, and how often each counts."""

    terms: Counts  # (P,)
    rows: Counts  # (P,)
    counts: Doubles  # (P,)


def _field_postings(texts: Sequence[str], weighting: FieldWeight, numbers: dict[str, int]) -> _Postings:
    terms, rows, counts = array("q"), array("q"), array("d")
    lengths = np.zeros(len(texts))
    for row, text in enumerate(texts):
        counted = Counter(words(text))
        lengths[row] = counted.total()
        for term, count in counted.items():
            terms.append(numbers.setdefault(term, len(numbers)))
            rows.append(row)
            counts.append(count)
    mean = float(lengths[lengths > 0].mean()) if lengths.any() else 1.0
    share = weighting.weight / (1.0 - weighting.b + weighting.b * lengths / mean)  # (I,)
    of_row = np.array(rows, np.int64)
    return _Postings(np.array(terms, np.int64), of_row, np.array(counts, np.float64) * share[of_row])


def _summed(parts: Sequence[_Postings], place: Counts) -> _Postings:
    """One posting for each term and item, in order of the terms' places, then of the items."""
    terms = np.concatenate([np.empty(0, np.int64), *(place[part.terms] for part in parts)])
    rows = np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)])
    counts = np.concatenate([np.empty(0), *(part.counts for part in parts)])
    order = np.lexsort((rows, terms))
    terms, rows, counts = terms[order], rows[order], counts[order]
    is_first = np.ones(len(terms), bool)
    is_first[1:] = (terms[1:] != terms[:-1]) | (rows[1:] != rows[:-1])
    starts = np.flatnonzero(is_first)
    return _Postings(terms[starts], rows[starts], np.add.reduceat(counts, starts) if len(starts) else counts)
