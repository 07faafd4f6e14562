"""Word search over the catalogue: BM25F in numpy, one implementation for serving and for the benchmark.

BM25F (Robertson, Zaragoza, Taylor 2004) sums a term's counts over weighted, length-normalised fields before it
saturates them. A term's share of an item's score does not depend on the query, so it is computed when the index is
built, and a query only adds up the postings of its terms. V terms, P postings, I items.

One ranking out of several: reciprocal ranks, or a weighted mix of shares.

    rank     score_j = sum over lists of weight_l / (constant + rank_l(j))        (Cormack et al. 2009)
    share    score_j = sum over lists of weight_l * score_lj / sum of list l's scores
A list that lacks an item adds nothing for it. Reciprocal ranks make many exact ties, so ties are broken by rule: the
better rank in the first list wins, then in the second, and so on, then the lower row.

Letters: L lists, N distinct items in them.

Decisions: docs/decisions/search.md (105, 106).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.domain.models.arrays import Doubles, Floats, Rows

WORD = re.compile(r"[^\W_]+")
LONGEST_WORD = 32  # characters: one endless word must not widen the table of terms
MAX_QUERY_CHARACTERS = 256
CONTENT_SHARE = 0.8  # of the fused score, as Bruch et al. chose it on other data


@dataclass(frozen=True, slots=True)
class LexicalIndex:
    """Postings sorted by term; `impacts` is what each term adds to each item's score."""

    terms: NDArray[np.bytes_]  # (V,) UTF-8, sorted
    offsets: NDArray[np.int64]  # (V + 1,)
    rows: Rows  # (P,)
    impacts: Floats  # (P,)
    count_items: int


def no_words(count_items: int) -> LexicalIndex:
    """The index of a catalogue that nobody searches, as in training."""
    return LexicalIndex(
        np.array([], "S1"), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), count_items
    )


def words(text: str) -> list[str]:
    """The words of a text: letters and digits, case folded, plural endings off."""
    return [_singular(word[:LONGEST_WORD]) for word in WORD.findall(text.casefold())]


def lexical_scores(index: LexicalIndex, query: str) -> Doubles:
    """(I,) BM25F of every item; zero where an item has no word of the query."""
    total = np.zeros(index.count_items)
    wanted = [term.encode() for term in dict.fromkeys(words(query[:MAX_QUERY_CHARACTERS]))]
    for term in wanted:
        place = int(np.searchsorted(index.terms, term))
        if place < len(index.terms) and index.terms[place] == term:
            postings = slice(index.offsets[place], index.offsets[place + 1])
            total[index.rows[postings]] += index.impacts[postings]  # a row occurs once in a term's postings
    return total


def fused_scores(lexical: Doubles, cosine: NDArray[np.floating] | None) -> Doubles:
    """(I,) words and meaning as one score: 0.2 * lexical / max + 0.8 * (1 + cosine) / (1 + max).

    TM2C2 of Bruch, Gai, Ingber 2023 (An Analysis of Fusion Functions for Hybrid Retrieval, ACM TOIS 42): each part
    divided by its largest value, counted from the least it can be. One part alone decides where the other is missing.
    """
    best = float(lexical.max(initial=0.0))
    by_words = lexical / best if best > 0.0 else np.zeros_like(lexical)
    if cosine is None:
        return by_words
    by_meaning = (1.0 + cosine.astype(np.float64)) / max(1.0 + float(cosine.max(initial=-1.0)), 1e-9)
    return (1.0 - CONTENT_SHARE) * by_words + CONTENT_SHARE * by_meaning


def _singular(word: str) -> str:
    """Harman's S-stemmer (1991): `batteries` is `battery`, `cases` is `case`, `glass` stays."""
    if len(word) <= 3 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word if word.endswith(("us", "ss")) else word[:-1]


CONSTANT = 60.0

RankedList = tuple[NDArray[np.integer], NDArray[np.floating]]  # rows and scores > 0, best first


@dataclass(frozen=True, slots=True)
class Fusion:
    """The rule that joins lists: by reciprocal rank or by share of score, with one weight a list."""

    by: Literal["rank", "share"]
    weights: tuple[float, ...]
    constant: float = CONSTANT


def fuse(lists: Sequence[RankedList], fusion: Fusion, *, limit: int) -> tuple[Rows, Floats]:
    """Up to `limit` rows and fused scores, best first; items whose lists all have weight 0 are left out."""
    sizes = [len(rows) for rows, _ in lists]
    found, place = np.unique(np.concatenate([rows for rows, _ in lists]), return_inverse=True)  # (N,)
    values = [weight * _worth(listed, fusion) for listed, weight in zip(lists, fusion.weights, strict=True)]
    scores = np.bincount(place, weights=np.concatenate(values), minlength=len(found))  # (N,)
    ranks = np.full((len(lists), len(found)), np.iinfo(np.int32).max, np.int32)  # (L, N)
    ranks[np.repeat(np.arange(len(lists)), sizes), place] = np.concatenate([np.arange(size) for size in sizes])
    order = np.lexsort((found, *ranks[::-1], -scores))
    order = order[scores[order] > 0][:limit]
    return found[order].astype(np.int32), scores[order].astype(np.float32)


def _worth(listed: RankedList, fusion: Fusion) -> Doubles:
    """Compute the unweighted contribution of a list to each of its items."""
    scores = np.asarray(listed[1], np.float64)
    if fusion.by == "rank":
        return 1.0 / (fusion.constant + np.arange(1.0, len(scores) + 1.0))
    total = scores.sum()
    return scores / total if total > 0 else scores
