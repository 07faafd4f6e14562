"""Builds the word index of the catalogue: BM25F impacts, term by term.

impact(t, i) = idf(t) * (k1 + 1) * tf / (k1 + tf), tf = sum over fields f of w_f * tf_f / (1 - b_f + b_f * len_f /
mean len_f), idf(t) = ln(1 + (N - n_t + 0.5) / (n_t + 0.5)) (Robertson and Zaragoza 2009, section 3.6). The settings
are the usual ones and are not tuned on any judgments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from recommender.domain.lexical import LexicalIndex, words


@dataclass(frozen=True, slots=True)
class FieldWeight:
    """How much a word counts in a field, and how strongly the field's length is held against it."""

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
        }
    )


def build_index(texts: Mapping[str, Sequence[str]], settings: LexicalSettings | None = None) -> LexicalIndex:
    """Index I items; `texts` maps a field to its I texts, and a field without settings is left out."""
    settings = settings or LexicalSettings()
    count_items = len(next(iter(texts.values()), ()))
    frequencies: dict[str, dict[int, float]] = {}  # term -> item -> weighted, length-normalised count
    for name, weighting in settings.fields.items():
        _add_field(frequencies, texts.get(name, ()), weighting)
    terms = sorted(frequencies, key=str.encode)
    sizes = [len(frequencies[term]) for term in terms]
    rows = np.array([row for term in terms for row in frequencies[term]], np.int32)
    counts = np.array([count for term in terms for count in frequencies[term].values()], np.float64)
    found = np.array(sizes, np.float64)
    idf = np.repeat(np.log1p((count_items - found + 0.5) / (found + 0.5)), sizes)  # (P,)
    impacts = idf * (settings.k1 + 1.0) * counts / (settings.k1 + counts)
    return LexicalIndex(
        np.array([term.encode() for term in terms], np.bytes_) if terms else np.empty(0, "S1"),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        rows,
        impacts.astype(np.float32),
        count_items,
    )


def _add_field(frequencies: dict[str, dict[int, float]], texts: Sequence[str], weighting: FieldWeight) -> None:
    counted = [Counter(words(text)) for text in texts]
    lengths = np.array([counts.total() for counts in counted], np.float64)
    mean = float(lengths[lengths > 0].mean()) if (lengths > 0).any() else 1.0
    for row, counts in enumerate(counted):
        share = weighting.weight / (1.0 - weighting.b + weighting.b * lengths[row] / mean)
        for term, count in counts.items():
            postings = frequencies.setdefault(term, {})
            postings[row] = postings.get(row, 0.0) + count * share
