"""A seeded shop with known tastes, the ground truth of the uplift benchmark, and the product's models trained on it.

Everything here is an assumption, none of it fitted to a recommender; only the ease of a click is fitted later. The
attraction of item i to shopper s (log odds) is taste_s . trait_i + appeal_i - thrift_s * dearness_i, and a taste is the
sum of a part that the attributes reveal and one of the shopper's own. The models are trained small, by the functions
and in the order of the jobs: content, towers before the first label cut, session model, ranker on the labels of both
cuts, towers once more on everything, and the counts of the last day. Letters: I items, G categories, D width of tastes,
M people, T texts, C content width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Counts, Doubles, Floats
from recommender.domain.models.bundle import Bundle
from recommender.domain.serving.visit import Shopper

from training_jobs.content_bert.data import CatalogueTexts, catalogue_texts
from training_jobs.content_bert.train import Settings as ContentSettings
from training_jobs.content_bert.train import pretrained_vectors
from training_jobs.counting.lines import label_cuts, read_lines
from training_jobs.counting.visits import read_visits
from training_jobs.exports import Exports
from training_jobs.next_item.encoder import as_function as encoder_function
from training_jobs.session_ranker.fitting import JUST_AFTER, Models, SessionPart, count_until, fit_ranker
from training_jobs.session_ranker.ranker import as_function as ranker_function
from training_jobs.session_ranker.train import Settings as SessionSettings
from training_jobs.session_ranker.train import fit_encoder
from training_jobs.two_tower.fitting import fit_early, tower_data
from training_jobs.two_tower.towers import finished
from training_jobs.two_tower.training import TowerSettings, train_towers
from warehouse.sources.generated import ATTRIBUTES, BRANDS, SHELVES, SIZES

COMMON: Final = (("age", 0.5), ("income", 0.3), ("household_size", 0.2))  # weight of each attribute in a taste


@dataclass(frozen=True, slots=True)
class Nature:
    """The assumptions. Shares are from 0 to 1; strengths are log odds."""

    items: int = 480
    shoppers: int = 1200  # with purchases before the test
    days: int = 150
    taste_width: int = 8
    taste_strength: float = 1.0  # standard deviation of taste . trait over the catalogue
    told_by_attributes: float = 0.3  # share of the variance of tastes that age, income and household tell
    appeal_strength: float = 0.6  # shared by everybody
    thrift: float = 0.4  # mean loss of attraction for each standard deviation of log price
    intent: float = 1.5  # of items of the category that the visit is about
    habit: float = 1.2  # of items bought before
    company: float = 1.2  # of the complement of what lies in the cart
    noise_width: float = 0.5  # of an item's trait that is its own, against its shelf, article and brand
    days_between_orders: float = 14.0
    lines_per_order: float = 2.5
    visits_per_order: float = 1.6  # visits that end without an order, for each one that ends with one
    no_history_share: float = 0.28  # of visits: by people without purchases


@dataclass(frozen=True, slots=True)
class Shop:
    """The catalogue and its properties."""

    nature: Nature
    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    categories: tuple[str, ...]  # (I,) paths
    brands: tuple[str, ...]  # (I,)
    category: Counts  # (I,) 0..G-1
    traits: Doubles  # (I, D)
    appeal: Doubles  # (I,)
    dearness: Doubles  # (I,) standardised log price
    price_cents: Counts  # (I,)
    margin_share: Doubles  # (I,)
    complement: Counts  # (I,) the item that goes with it
    attribute_tastes: Mapping[tuple[str, str], Doubles]  # (attribute, value) -> (D,)

    @property
    def count_categories(self) -> int:
        """G."""
        return int(self.category.max()) + 1

    @property
    def margin_cents(self) -> Doubles:
        """(I,) earned with one piece."""
        earned: Doubles = self.price_cents * self.margin_share
        return earned


@dataclass(frozen=True, slots=True)
class People:
    """M shoppers: their attributes, which the shop may know, and the rest, which it may not."""

    attributes: tuple[Mapping[str, str], ...]
    attraction: Doubles  # (M, I) log odds
    interest: Doubles  # (M, G) chance that a visit is about each category


def found(nature: Nature, seed: int) -> Shop:
    """The shop of this seed."""
    rng = np.random.default_rng([seed, 1])
    width, count = nature.taste_width, nature.items
    shelves = [(department, shelf) for department, parts in SHELVES.items() for shelf in parts]
    category = np.sort(rng.integers(0, len(shelves), count))
    article = [str(rng.choice(SHELVES[shelves[place][0]][shelves[place][1]])) for place in category]
    brand, size = rng.choice(BRANDS, count), rng.choice(SIZES, count)
    parts = [
        rng.normal(size=(len(shelves), width))[category],
        _by_name(article, width, rng),
        0.5 * _by_name(list(brand), width, rng),
        nature.noise_width * rng.normal(size=(count, width)),
    ]
    traits: Doubles = np.sum(parts, axis=0) / np.sqrt(2.25 + nature.noise_width**2)
    log_price = rng.normal(np.log(1800), 0.6, count)
    names = [(name, value) for name, values in ATTRIBUTES.items() for value in values]
    return Shop(
        nature=nature,
        item_ids=tuple(f"i{n:05d}" for n in range(count)),
        titles=tuple(f"{a.title()}, {s.lower()}, {b}" for a, s, b in zip(article, size, brand, strict=True)),
        categories=tuple(f"{shelves[p][0]} > {shelves[p][1]} > {a}" for p, a in zip(category, article, strict=True)),
        brands=tuple(str(name) for name in brand),
        category=category.astype(np.int64),
        traits=traits,
        appeal=nature.appeal_strength * rng.normal(size=count),
        dearness=(log_price - log_price.mean()) / log_price.std(),
        price_cents=np.round(np.exp(log_price)).astype(np.int64),
        margin_share=rng.uniform(0.1, 0.5, count),
        complement=_complements(category, rng),
        attribute_tastes={name: rng.normal(size=width) for name in names},
    )


def people(shop: Shop, count: int, rng: np.random.Generator) -> People:
    """So many people, drawn from one population whether they are known to the shop or not."""
    nature = shop.nature
    columns = {name: rng.choice(values, count) for name, values in ATTRIBUTES.items()}
    attributes = tuple({name: str(values[m]) for name, values in columns.items()} for m in range(count))
    told = np.array(
        [sum(np.sqrt(share) * shop.attribute_tastes[name, one[name]] for name, share in COMMON) for one in attributes]
    )
    share = nature.told_by_attributes
    taste = np.sqrt(share) * told + np.sqrt(1.0 - share) * rng.normal(size=(count, nature.taste_width))  # (M, D)
    thrift = nature.thrift * rng.gamma(4.0, 0.25, count)
    liking = taste @ shop.traits.T * nature.taste_strength / np.sqrt(nature.taste_width)  # (M, I)
    attraction = liking + shop.appeal - thrift[:, None] * shop.dearness
    worth = np.stack(
        [np.log(np.exp(attraction[:, shop.category == g]).sum(axis=1)) for g in range(shop.count_categories)], axis=1
    )
    return People(attributes, attraction, softmax(worth))


def wants(
    shop: Shop, attraction: Doubles, *, intent: int, owned: NDArray[np.bool_], cart: tuple[int, ...] = ()
) -> Doubles:
    """(I,) attraction of items in a visit about a category, given the earlier purchases `owned` (I,)."""
    nature = shop.nature
    found: Doubles = attraction + nature.intent * (shop.category == intent) + nature.habit * owned
    if cart:
        found[shop.complement[list(cart)]] += nature.company
    return found


def softmax(log_odds: Doubles) -> Doubles:
    """(..., N) chances along the last axis of log odds (..., N)."""
    weight = np.exp(log_odds - log_odds.max(axis=-1, keepdims=True))
    chances: Doubles = weight / weight.sum(axis=-1, keepdims=True)
    return chances


def _by_name(names: list[str], width: int, rng: np.random.Generator) -> Doubles:
    """(I, D): one draw for each distinct name."""
    distinct, place = np.unique(names, return_inverse=True)
    drawn: Doubles = rng.normal(size=(len(distinct), width))
    return drawn[place]


def _complements(category: NDArray[np.int64], rng: np.random.Generator) -> Counts:
    """(I,) an item of another category for each."""
    count = len(category)
    drawn = rng.integers(0, count, count)
    for _ in range(20):
        same = category[drawn] == category
        drawn[same] = rng.integers(0, count, int(same.sum()))
    return drawn.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Effort:
    """The length of the training and the visits that fit the clicks; small, so that all of it takes minutes."""

    tower_steps: int = 400
    sample_texts: int = 100
    calibration_visits: int = 1200
    session: SessionSettings = field(
        default_factory=lambda: SessionSettings(
            groups_per_cut=600, candidates=200, encoder_seconds=20, encoder_tail_prefixes=400
        )
    )


Encode = Callable[[CatalogueTexts, Effort], Floats]


@dataclass(frozen=True, slots=True)
class Trained:
    """The bundle that serves, and the shoppers as the store would hold them."""

    bundle: Bundle
    shoppers: Mapping[str, Shopper]


def encoded(texts: CatalogueTexts, effort: Effort) -> Floats:
    """(T, C) vectors of the texts by the content job's own path, from the pretrained encoder."""
    return pretrained_vectors(texts, ContentSettings(sample_texts=effort.sample_texts))


def train(exports: Exports, seed: int, effort: Effort, *, encode: Encode = encoded) -> Trained:
    """All models of one seed, as of the end of the exports."""
    texts = catalogue_texts(exports)
    vectors = encode(texts, effort)
    evaluate_from = exports.data_until - timedelta(days=effort.session.holdout_days)
    cuts = label_cuts(exports.data_from, evaluate_from)
    towers = TowerSettings(most_steps=effort.tower_steps, seed=seed)
    early_data = tower_data(exports, until=cuts[0], content_vectors=vectors, content_rows=texts.rows)
    early = fit_early(exports, early_data, towers, until=cuts[0], tail_until=cuts[1])
    visits = read_visits(exports, read_lines(exports, until=cuts[0]), until=cuts[0])
    session = fit_encoder(visits, len(exports.item_ids), effort.session)
    part = SessionPart(session.item_vectors, encoder_function(session.encoder), session.next_item)
    ranker = fit_ranker(
        exports,
        cuts=cuts,
        evaluate_from=evaluate_from,
        content_rows=texts.rows,
        models=Models(vectors, finished(early.towers, early_data.purchases), part, session.knn.settings),
        plan=effort.session.plan(),
    )
    data = tower_data(exports, until=evaluate_from, content_vectors=vectors, content_rows=texts.rows)
    last = train_towers(data.purchases, data.catalogue, towers, steps=max(early.best_step, 1), label="refit")
    counted = count_until(exports, exports.data_until + JUST_AFTER, texts.rows)
    models = Models(vectors, finished(last.towers, data.purchases), part, session.knn.settings)
    shoppers = counted.statistics.histories.shoppers(counted.segments.of_shopper)
    return Trained(models.bundle(counted, ranker_function(ranker.module)), {one.shopper_id: one for one in shoppers})
