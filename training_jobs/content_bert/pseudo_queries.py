"""Queries for a catalogue that nobody has searched yet: phrases that several items share, as shoppers type them.

A phrase of one to three words that occurs in many texts names a kind of thing, one that occurs in a single text a
model number: phrases are drawn by the number of texts they occur in. In half of the pairs the phrase is taken out of
the text, so that its meaning has to be learnt from the rest (inverse cloze: Lee, Chang, Toutanova 2019).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from recommender.domain.models.search import WORD

LONGEST = 3  # words
FEWEST_TEXTS = 3
MOST_SHARE = 0.2  # of the texts: beyond, a phrase tells nothing apart
FULL_WEIGHT_TEXTS = 100
HEAD_WORDS = 24  # of a text, where a phrase is looked for
SHARE_TAKEN_OUT = 0.5


def pseudo_queries(texts: Sequence[str], limit: int, rng: np.random.Generator) -> list[tuple[int, str, str]]:
    """At most `limit` of (row of the text, query, the text that answers it), in random order."""
    heads = [_phrases(text) for text in texts]
    shared = Counter(phrase for phrases in heads for phrase in set(phrases))
    most = max(MOST_SHARE * len(texts), FEWEST_TEXTS)
    found: list[tuple[int, str, str]] = []
    for row in rng.permutation(len(texts)):
        if len(found) >= limit:
            break
        phrases = [phrase for phrase in heads[row] if FEWEST_TEXTS <= shared[phrase] <= most]
        phrases = phrases or heads[row]
        if phrases:
            weights = np.minimum([shared[phrase] for phrase in phrases], FULL_WEIGHT_TEXTS).astype(np.float64)
            query = phrases[rng.choice(len(phrases), p=weights / weights.sum())]
            answer = _without(texts[row], query) if rng.random() < SHARE_TAKEN_OUT else texts[row]
            found.append((int(row), query, answer))
    return found


def _phrases(text: str) -> list[str]:
    """Runs of one to three words from the head of the text; a run of digits alone is no query."""
    words = WORD.findall(text.casefold())[:HEAD_WORDS]
    runs = [
        words[start : start + length] for length in range(1, LONGEST + 1) for start in range(len(words) - length + 1)
    ]
    return [" ".join(run) for run in runs if any(len(word) > 2 and not word.isdigit() for word in run)]


def _without(text: str, query: str) -> str:
    """The text without the phrase; the whole text where nothing would be left."""
    rest = re.sub(r"[\W_]+".join(map(re.escape, query.split())), " ", text, flags=re.IGNORECASE)
    return " ".join(rest.split()) if WORD.search(rest) else text
