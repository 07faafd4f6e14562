"""The product's models, trained small on the simulated shop by the jobs' own functions, as one bundle in memory.

The steps and their order are those of the training jobs: content, towers before the first label cut, session model,
ranker on the labels of both cuts, towers once more on everything, and the counts of the last day.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from recommender.domain.arrays import Floats
from recommender.domain.bundle import Bundle
from recommender.domain.shopper import Shopper

from training_jobs.content_bert.data import CatalogueTexts, catalogue_texts
from training_jobs.content_bert.model import load_pretrained
from training_jobs.content_bert.train import Settings as ContentSettings
from training_jobs.content_bert.train import encode_catalogue
from training_jobs.exports import Exports
from training_jobs.session_ranker.encoder import as_function as encoder_function
from training_jobs.session_ranker.lines import read_lines
from training_jobs.session_ranker.ranker import as_function as ranker_function
from training_jobs.session_ranker.ranker_bundle import SessionModel
from training_jobs.session_ranker.ranker_fitting import Models, count_until, fit_ranker, label_cuts
from training_jobs.session_ranker.train import JUST_AFTER, fit_encoder
from training_jobs.session_ranker.train import Settings as SessionSettings
from training_jobs.session_ranker.visits import read_visits
from training_jobs.two_tower.fitting import fit_early, tower_data
from training_jobs.two_tower.towers import finished
from training_jobs.two_tower.training import TowerSettings, train_towers


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to train, and on how many visits to fit the clicks; small, so that all of it stays within minutes."""

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
    """What serves, and the shoppers as the store would hold them."""

    bundle: Bundle
    shoppers: Mapping[str, Shopper]


def encoded(texts: CatalogueTexts, effort: Effort) -> Floats:
    """(T, C) vectors of the texts by the content job's own path, from the pretrained encoder."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ContentSettings(sample_texts=effort.sample_texts)
        return encode_catalogue(load_pretrained(), texts, settings, Path(folder)).vectors


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
    part = SessionModel(session.item_vectors, encoder_function(session.encoder), session.next_item)
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
