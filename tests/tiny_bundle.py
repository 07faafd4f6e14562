"""A whole bundle in memory, small enough to read: 240 items, models as numpy functions, everything seeded.

Four departments of five categories of twelve items. Items of a category lie close together in each space, are
bought together and follow each other in sessions, so that tests can say what should come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from recommender.domain.models.bundle import Bundle, Cohorts, ItemTable, Neighbours
from recommender.domain.models.discovery import Complements, Discovery
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.next_item_features import ItemFacts
from recommender.domain.models.posterior import PreferencePrior
from recommender.domain.models.prior import Prior
from recommender.domain.models.search import Fusion
from recommender.domain.models.session_knn import SessionIndex

from training_jobs.content_bert.lexical import build_index
from training_jobs.next_item.fitting import plain

DEPARTMENTS, CATEGORIES, EACH = 4, 20, 12
COUNT = CATEGORIES * EACH  # I
WIDTH, CONTENT_WIDTH, SESSION_WIDTH = 8, 16, 8  # D, C, E
COHORTS, LISTED, RETRIEVED, SESSIONS = 12, 120, 60, 80
DAYS = 20_000.0  # the end of the data, days since the epoch


def item_id(category: int, n: int) -> str:
    """The n-th item of a category; ids sort in row order."""
    return f"item-{category:02d}-{n:02d}"


def category_name(category: int) -> str:
    """Its path: the department, then the category."""
    return f"Dept {category % DEPARTMENTS} > Aisle {category}"


class TinyCatalogue:
    """Display facts made up from the row."""

    def describe(self, row: int) -> Mapping[str, Any]:
        """What the shop shows of an item."""
        category, n = divmod(int(row), EACH)
        return {
            "item_id": item_id(category, n),
            "title": f"Item {n} of aisle {category}",
            "description": "",
            "category": category_name(category),
            "brand": f"Brand {n % 3}",
            "price_cents": 100 + 50 * n,
        }


def tiny_bundle(**changes: Any) -> Bundle:
    """The bundle; `changes` replace fields, such as a ranker that fails."""
    rng = np.random.default_rng(7)
    category = np.repeat(np.arange(CATEGORIES, dtype=np.int32), EACH)  # (I,)
    vectors = _clustered(rng, category, WIDTH)
    content = _clustered(rng, category, CONTENT_WIDTH)
    session_vectors = _clustered(rng, category, SESSION_WIDTH)
    fields: dict[str, Any] = {
        "bundle_id": "tiny-1",
        "item_ids": np.array([item_id(c, n).encode() for c in range(CATEGORIES) for n in range(EACH)]),
        "catalogue": TinyCatalogue(),
        "items": _item_table(category),
        "item_vectors": vectors,
        "content_vectors": content,
        "session_item_vectors": session_vectors,
        "prior": _prior(category),
        "preference": PreferencePrior(
            vectors.mean(axis=0), np.eye(WIDTH, dtype=np.float32), np.full(WIDTH, 0.3, np.float32), 1.0
        ),
        "session_index": _session_index(rng),
        "co_purchase": _co_purchase(),
        "complements": _complements(),
        "discovery": _discovery(vectors),
        "cohorts": _cohorts(rng),
        "fallback": {"home_hero": tuple(item_id(c, 0) for c in range(CATEGORIES))},
        "user_tower": lambda feed: {"user_vec": _weighted_mean(vectors, feed["history"], feed["weights"])},
        "session_encoder": lambda feed: {
            "session_vec": _weighted_mean(session_vectors, feed["items"], np.ones(feed["items"].shape, np.float32))
        },
        "ranker": lambda feed: {"score": _probability(feed["features"].mean(axis=1))},
        "retrieval": lambda feed: _nearest(vectors, feed["q"]),
        "next_item": _next_item(),
        "session_retrieval": lambda feed: _nearest(session_vectors, feed["q"]),
        "encode_query": lambda text: _encode(content, text),
        "lexical": build_index({"title": [TinyCatalogue().describe(row)["title"] for row in range(COUNT)]}),
    }
    return Bundle(**{**fields, **changes})


def _clustered(rng: np.random.Generator, category: NDArray[np.int32], width: int) -> Floats:
    centres = rng.normal(size=(CATEGORIES, width))
    return _unit(centres[category] + 0.3 * rng.normal(size=(COUNT, width)))


def _unit(vectors: NDArray[Any]) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = (vectors / np.maximum(length, 1e-9)).astype(np.float32)
    return unit


def _item_table(category: NDArray[np.int32]) -> ItemTable:
    n = np.tile(np.arange(EACH), CATEGORIES)
    return ItemTable(
        content_row=np.arange(COUNT, dtype=np.int32),
        category=category,
        department=category % DEPARTMENTS,
        brand=(n % 3).astype(np.int32),
        categories=np.array([category_name(c).encode() for c in range(CATEGORIES)]),
        departments=np.array([f"Dept {d}".encode() for d in range(DEPARTMENTS)]),
        brands=np.array([f"Brand {b}".encode() for b in range(3)]),
        price_cents=(100 + 50 * n).astype(np.int32),
        margin_share=(0.1 + 0.05 * (n % 5)).astype(np.float32),
        in_stock=np.ones(COUNT, bool),
        repeat_share=np.full(COUNT, 0.3, np.float32),
        popularity=np.log1p(100.0 / (1 + np.arange(COUNT))).astype(np.float32),
        interpurchase_days=np.full(COUNT, 14.0, np.float32),
    )


def _prior(category: NDArray[np.int32]) -> Prior:
    weight = 1.0 / (1 + np.arange(COUNT))
    names = sorted(f"category:{category_name(c)}".encode() for c in range(CATEGORIES))
    of_name = {f"category:{category_name(c)}".encode(): c for c in range(CATEGORIES)}
    rows = [np.flatnonzero(category == of_name[name]) for name in names]
    return Prior(
        log_share=np.log(weight / weight.sum()).astype(np.float32),
        trend=np.linspace(-0.5, 0.5, COUNT).astype(np.float32),
        context_names=np.array(names),
        context_offsets=np.arange(CATEGORIES + 1, dtype=np.int64) * EACH,
        context_items=np.concatenate(rows).astype(np.int32),
        context_counts=np.tile(np.linspace(20, 1, EACH), CATEGORIES).astype(np.float32),
        strength=50.0,
    )


def _session_index(rng: np.random.Generator) -> SessionIndex:
    sessions = [EACH * (s % CATEGORIES) + rng.choice(EACH, size=5, replace=False) for s in range(SESSIONS)]
    holders: list[list[int]] = [[] for _ in range(COUNT)]
    for session, rows in enumerate(sessions):
        for row in rows:
            holders[row].insert(0, session)  # newest first
    counts = np.array([len(found) for found in holders])
    return SessionIndex(
        item_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        item_sessions=np.array([session for found in holders for session in found], dtype=np.int32),
        session_offsets=(np.arange(SESSIONS + 1) * 5).astype(np.int64),
        session_items=np.concatenate(sessions).astype(np.int32),
        session_days=(DAYS - SESSIONS + np.arange(SESSIONS)).astype(np.float32),
        idf=np.log(SESSIONS / np.maximum(counts, 1)).astype(np.float32),
    )


def _co_purchase() -> Neighbours:
    """Partners of an item: the same place in the next five categories."""
    rows = [[(row + EACH * step) % COUNT for step in range(1, 6)] for row in range(COUNT)]
    return Neighbours(np.array(rows, dtype=np.int32), np.tile(np.linspace(1, 0.2, 5), (COUNT, 1)).astype(np.float32))


def _complements() -> Complements:
    """Each of the first nineteen categories goes with the next one; the last is sold too little."""
    place = np.append(np.arange(CATEGORIES - 1), -1).astype(np.int32)
    return Complements(place, np.eye(CATEGORIES - 1, k=1, dtype=np.float16))


def _next_item() -> NextItem:
    """The plain mix of both sources."""
    flat = np.zeros(COUNT, np.float32)
    return plain(ItemFacts(flat, flat, flat), Fusion("share", (0.5, 0.5)), 0.07)


def _discovery(vectors: Floats) -> Discovery:
    """Every fourth item is tried often enough for a slope; tastes are read by every second one."""
    rows = np.arange(COUNT, dtype=np.int32)
    return Discovery(
        log_tried=-0.01 * rows.astype(np.float32),
        log_first_share=np.full(COUNT, -0.5, np.float32),
        log_in_category=np.full(COUNT, -2.0, np.float32),
        read=rows[::2],
        readings=vectors[::2],
        listed=rows[::4],
        slopes=vectors[::4],
        offsets=np.zeros(len(rows[::4]), np.float32),
    )


def _cohorts(rng: np.random.Generator) -> Cohorts:
    lists = np.stack([rng.permutation(COUNT)[:LISTED] for _ in range(COHORTS + 1)]).astype(np.int32)
    return Cohorts(lists, np.array([f"segment {h}".encode() for h in range(COHORTS)] + [b"unknown"]))


def _weighted_mean(vectors: Floats, rows: NDArray[Any], weights: NDArray[Any]) -> Floats:
    known = np.where(rows >= 0, weights, 0.0)[..., None]  # (1, L, 1)
    return _unit((vectors[np.maximum(rows, 0)] * known).sum(axis=1))


def _probability(log_odds: NDArray[Any]) -> Floats:
    probability: Floats = (1.0 / (1.0 + np.exp(-log_odds))).astype(np.float32)
    return probability


def _nearest(vectors: Floats, query: Floats) -> dict[str, NDArray[Any]]:
    scores = query @ vectors.T  # (1, I)
    order = np.argsort(-scores, axis=1)[:, :RETRIEVED]
    return {"v": np.take_along_axis(scores, order, axis=1), "i": order.astype(np.int64)}


def _encode(content: Floats, text: str) -> Floats:
    """The centre of the aisle named in the text, such as "aisle 3"; the centre of all where none is named."""
    named = [int(word) for word in text.split() if word.isdigit() and int(word) < CATEGORIES]
    rows = np.arange(EACH) + EACH * named[0] if named else np.arange(COUNT)
    centre: Floats = _unit(content[rows].mean(axis=0))
    return centre
