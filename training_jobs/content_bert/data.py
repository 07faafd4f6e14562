"""The content model's training data: one text an item, and pairs of texts that belong together.

Pairs are a title with the rest of its text (`title`), a search with the item that the visit opened next (`query`), and
two items of one order (`bought`), all from before `until`. Where nobody has searched yet, phrases that several items
share stand in for searches; in half of these pairs the phrase is removed from the text, so that its meaning has to be
learnt from the rest (inverse cloze: Lee, Chang, Toutanova 2019). Letters: I items, T distinct texts.

Decisions: docs/decisions/search.md (108).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from recommender.domain.models.arrays import Rows
from recommender.domain.models.search import WORD

from training_jobs.exports import Exports

KINDS = ("title", "query", "bought")
TEXT_FIELDS = ("title", "category", "brand", "description", "reviews")
NEW_WORDS_OF_A_DESCRIPTION = 4
MOST_CHARACTERS = 2000  # of a field; the encoder reads far less
HELD_OUT_OF_TEN = 1  # one right-hand text in ten is never trained on
LONGEST = 3  # words
FEWEST_TEXTS = 3
MOST_SHARE = 0.2  # of the texts: beyond, a phrase distinguishes nothing
FULL_WEIGHT_TEXTS = 100
HEAD_WORDS = 24  # of a text, where a phrase is looked for
SHARE_TAKEN_OUT = 0.5


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts that belong together."""

    kind: str
    left: str
    right: str
    source: str = ""  # the item's whole text, where `right` is only a part of it

    @property
    def origin(self) -> str:
        """The text that decides on which side of the split the pair lies."""
        return self.source or self.right


@dataclass(frozen=True, slots=True)
class CatalogueTexts:
    """The texts of I items, of which T are distinct."""

    texts: tuple[str, ...]  # (T,) in order of first use
    rows: Rows  # (I,) row of each item's text, items sorted by id
    titles: tuple[str, ...]  # (I,)

    def by_item(self, item_ids: Sequence[bytes]) -> Mapping[str, str]:
        """item id -> text."""
        return {item_id.decode(): self.texts[row] for item_id, row in zip(item_ids, self.rows, strict=True)}


def item_text(title: str, category: str, brand: str, description: str, reviews: str = "") -> str:
    """The title, then each of path, brand, description and reviews that adds new words.

    Description and reviews need at least four new words, because long texts cost time; reviews come last because long
    texts are cut.
    """
    parts, seen = [title[:MOST_CHARACTERS]], _words(title)
    for part in (*reversed(category.split(" > ")), brand):
        if _words(part) - seen:
            parts.append(part)
            seen |= _words(part)
    for part in (description, reviews):
        if len(_words(part) - seen) >= NEW_WORDS_OF_A_DESCRIPTION:
            parts.append(part[:MOST_CHARACTERS])
            seen |= _words(part)
    return ". ".join(part for part in parts if part)


def catalogue_texts(exports: Exports) -> CatalogueTexts:
    """One text for each item, in order of the item's row."""
    return item_texts(_in_order(exports))


def catalogue_fields(exports: Exports) -> dict[str, list[str]]:
    """Field -> one text for each item, in order of the item's row."""
    items = _in_order(exports)
    return {name: items[name].fill_null("").to_list() for name in TEXT_FIELDS if name in items.columns}


def _in_order(exports: Exports) -> pl.DataFrame:
    items = exports.items.unique("item_id", keep="last")
    return items.sort(pl.col("item_id").cast(pl.Binary))  # the order of bytes, as in item_ids


def item_texts(items: pl.DataFrame) -> CatalogueTexts:
    """The texts of a frame with title, category, brand and description, and reviews where it has them."""
    fields = [name for name in TEXT_FIELDS if name in items.columns]
    items = items.select(pl.col(name).cast(pl.String).fill_null("") for name in fields)
    texts = [item_text(**row) for row in items.iter_rows(named=True)]
    place: dict[str, int] = {}
    rows = np.array([place.setdefault(text, len(place)) for text in texts], np.int32)
    return CatalogueTexts(tuple(place), rows, tuple(items["title"].to_list()))


def training_pairs(
    exports: Exports, texts: CatalogueTexts, *, until: datetime, max_pairs: int, rng: np.random.Generator
) -> list[Pair]:
    """About `max_pairs` distinct pairs for each kind, shuffled; a kind without data is absent."""
    text_of = texts.by_item(exports.item_ids.tolist())
    searched = _query_pairs(exports, text_of, until, max_pairs, rng)
    pairs = [
        *_title_pairs(texts, max_pairs, rng),
        *searched,
        *_word_pairs(texts, max_pairs - len(searched), rng),
        *_bought_pairs(exports, text_of, until, max_pairs, rng),
    ]
    return _shuffled(pairs, rng)


def catalogue_pairs(texts: CatalogueTexts, *, max_pairs: int, rng: np.random.Generator) -> list[Pair]:
    """The pairs of a catalogue whose shoppers are unknown: `title`, and phrases of its texts as `query`."""
    return _shuffled([*_title_pairs(texts, max_pairs, rng), *_word_pairs(texts, max_pairs, rng)], rng)


def _shuffled(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Pair]:
    useful = [pair for pair in dict.fromkeys(pairs) if pair.left != pair.right and pair.left and pair.right]
    return [useful[index] for index in rng.permutation(len(useful))]


def split(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """(training, held out): by a hash of the item's text, so a held-out text is never a target in training."""
    held = [zlib.crc32(pair.origin.encode()) % 10 < HELD_OUT_OF_TEN for pair in pairs]
    return (
        [pair for pair, out in zip(pairs, held, strict=True) if not out],
        [pair for pair, out in zip(pairs, held, strict=True) if out],
    )


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))


def _title_pairs(texts: CatalogueTexts, limit: int, rng: np.random.Generator) -> list[Pair]:
    chosen = rng.permutation(len(texts.rows))[:limit]
    pairs = [(texts.titles[item], texts.texts[texts.rows[item]]) for item in chosen]
    return [Pair("title", title, text[len(title) :].strip(". "), text) for title, text in pairs]


def _query_pairs(
    exports: Exports, text_of: Mapping[str, str], until: datetime, limit: int, rng: np.random.Generator
) -> list[Pair]:
    """(search term, text of the item of the next event of the visit)."""
    events = exports.session_events.filter(pl.col("event_time") < until).sort("session_id", "event_time")
    following = pl.col("item_id").shift(-1).over("session_id").alias("chosen")
    searches = events.select("search_term", following).drop_nulls().unique(maintain_order=True)
    chosen = searches[rng.permutation(searches.height)[:limit]]
    return [Pair("query", term, text_of[item]) for term, item in chosen.iter_rows() if item in text_of]


def _word_pairs(texts: CatalogueTexts, limit: int, rng: np.random.Generator) -> list[Pair]:
    """Phrases of the texts, in place of searches that nobody has made yet."""
    if limit <= 0:
        return []
    return [
        Pair("query", query, text, texts.texts[row]) for row, query, text in pseudo_queries(texts.texts, limit, rng)
    ]


def _bought_pairs(
    exports: Exports, text_of: Mapping[str, str], until: datetime, limit: int, rng: np.random.Generator
) -> list[Pair]:
    """Two items of one order, one pair an order."""
    before = exports.purchases.filter(pl.col("purchased_at") < until)
    orders = before["order_id"].unique(maintain_order=True)
    sample = orders[rng.permutation(len(orders))[:limit].tolist()]
    baskets = before.join(sample.to_frame(), on="order_id", how="semi").group_by("order_id", maintain_order=True)
    pairs = []
    for (basket,) in baskets.agg("item_id").select("item_id").iter_rows():
        known = [item for item in dict.fromkeys(basket) if item in text_of]
        if len(known) > 1:
            left, right = rng.choice(len(known), 2, replace=False)
            pairs.append(Pair("bought", text_of[known[left]], text_of[known[right]]))
    return pairs


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
