"""The models of the purchases benchmark, trained by the jobs' own functions: content, towers, encoder, ranker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from recommender.domain.models.bundle import Bundle

from benchmarks.purchases.data import PurchaseData
from training_jobs.baselines import IalsSettings, ials, matrix
from training_jobs.content_bert.data import catalogue_texts
from training_jobs.content_bert.train import Settings as ContentSettings
from training_jobs.content_bert.train import pretrained_vectors
from training_jobs.counting.lines import bought_between
from training_jobs.evaluate.evaluation import run_methods
from training_jobs.evaluate.methods import from_scorer
from training_jobs.evaluate.questions import window_questions
from training_jobs.metrics import recall_by_shopper
from training_jobs.next_item.encoder import as_function as encoder_function
from training_jobs.session_ranker.data import Group
from training_jobs.session_ranker.fitting import (
    Counted,
    Models,
    RankerPlan,
    SessionPart,
    count_until,
    labelled,
)
from training_jobs.session_ranker.ranker import RankerSettings, TrainedRanker, train_ranker
from training_jobs.session_ranker.ranker import as_function as ranker_function
from training_jobs.session_ranker.train import Settings as SessionSettings
from training_jobs.session_ranker.train import fit_encoder
from training_jobs.two_tower.fitting import fit_early, tower_data
from training_jobs.two_tower.towers import Towers, finished
from training_jobs.two_tower.training import TowerSettings, Trained, train_towers

IALS_CHOICES = tuple(
    IalsSettings(width=width, alpha=alpha, ridge=ridge)
    for width, alpha, ridge in (
        (64, 4.0, 4.0),
        (64, 1.0, 4.0),
        (64, 0.25, 4.0),
        (64, 1.0, 16.0),
        (64, 0.25, 16.0),
        (32, 1.0, 4.0),
    )
)
TUNING_SHOPPERS = 600


@dataclass(frozen=True, slots=True)
class Content:
    """Vectors of the distinct texts, and the text of each item."""

    vectors: Floats  # (T, C)
    rows: NDArray[np.int32]  # (I,)


@dataclass(frozen=True, slots=True)
class Fitted:
    """One seed's models at the start of the test."""

    bundle: Bundle
    trained: Trained
    ranker: TrainedRanker
    knn: str
    groups: list[Group]  # the training data of the ranker


@dataclass(slots=True)
class History:
    """The counts at each moment, made once for all seeds."""

    data: PurchaseData
    content: Content
    _counted: dict[str, Counted] = field(default_factory=dict)

    def at(self, moment: str) -> Counted:
        """Counts as of `first_cut`, `train_until` or `valid_until`."""
        if moment not in self._counted:
            until = getattr(self.data, moment)
            self._counted[moment] = count_until(self.data.exports, until, self.content.rows)
        return self._counted[moment]


def encode_content(data: PurchaseData, cache: Path) -> Content:
    """Vectors of the pretrained encoder, by the content job's own path; kept in `cache` for the next run."""
    texts = catalogue_texts(data.exports)
    return Content(pretrained_vectors(texts, ContentSettings(), cache), texts.rows)


def fit(history: History, *, seed: int, plan: RankerPlan, towers: TowerSettings) -> Fitted:
    """Early towers and encoder, ranker on the windows after them, towers once more on everything before the test."""
    data, content = history.data, history.content
    early = tower_data(data.exports, until=data.first_cut, content_vectors=content.vectors, content_rows=content.rows)
    trained = fit_early(data.exports, early, towers, until=data.first_cut, tail_until=data.train_until)
    first = history.at("first_cut")
    session = fit_encoder(first.statistics.visits, len(data.exports.item_ids), SessionSettings(seed=seed))
    encoder = SessionPart(session.item_vectors, encoder_function(session.encoder))
    models = Models(content.vectors, finished(trained.towers, early.purchases), encoder, session.knn.settings)
    groups = [
        *labelled(first, bought_between(data.exports, data.first_cut, data.train_until), models, plan, is_newest=False),
        *labelled(
            history.at("train_until"), bought_between(data.exports, data.train_until, data.valid_until), models, plan
        ),
    ]
    ranker = train_ranker(groups, plan.training)
    final = Models(content.vectors, _refit(history, towers, trained), encoder, session.knn.settings)
    bundle = final.bundle(history.at("valid_until"), ranker_function(ranker.module))
    return Fitted(bundle, trained, ranker, str(session.knn), groups)


def settings_of(seed: int, *, groups_per_cut: int) -> tuple[RankerPlan, TowerSettings]:
    """Everything seeded by one number."""
    return RankerPlan(groups_per_cut, training=RankerSettings(seed=seed)), TowerSettings(seed=seed)


def tune_ials(history: History) -> tuple[IalsSettings, dict[str, float]]:
    """The choice with the best Recall@20 of new items in the validation window."""
    data, counted = history.data, history.at("train_until")
    bought = bought_between(data.exports, data.train_until, data.valid_until)
    cohorts = counted.segments.of_shopper
    questions = window_questions(counted.statistics, bought, cohorts, now_days=counted.now_days)
    questions = [question for question in questions if "new" in question.targets]
    chosen = np.random.default_rng(0).permutation(len(questions))[:TUNING_SHOPPERS]
    entries = matrix(counted.statistics.lines, count_items=len(data.exports.item_ids), now_days=counted.now_days)
    numbers = counted.statistics.histories.numbers
    recalls: dict[IalsSettings, float] = {}
    for choice in IALS_CHOICES:
        method = from_scorer(ials(entries, choice), numbers)
        found = run_methods({"ials": method}, [questions[n] for n in chosen], label="tune ials")["ials"]["new"]
        recalls[choice] = float(recall_by_shopper(found.lists, found.targets).mean())
    best = max(IALS_CHOICES, key=recalls.__getitem__)
    return best, {f"{c.width}/{c.alpha}/{c.ridge}": round(recall, 5) for c, recall in recalls.items()}


def _refit(history: History, settings: TowerSettings, early: Trained) -> Towers:
    """Towers on everything before the test, for as many steps as the validation chose."""
    data, content = history.data, history.content
    full = tower_data(data.exports, until=data.valid_until, content_vectors=content.vectors, content_rows=content.rows)
    trained = train_towers(
        full.purchases, full.catalogue, settings, steps=max(early.best_step, 1), label="two_tower, refit"
    )
    return finished(trained.towers, full.purchases)
