"""The session layer's job: count, train the session encoder, label requests of the past, train the ranker, write.

Moments, oldest first:
    first label cut       the encoder is trained on the time before it, as the early towers are
    label cuts            requests as of each cut, labelled by the weeks after it, train the ranker
    evaluate_from         no model has seen anything later (holdout_days before the end)
    the end of the data   all counts are made anew up to here and published
On data whose events are all derived the encoder and the index read real baskets (see visits.py).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.adapters.onnx import OnnxModel
from recommender.contracts import artifacts
from recommender.domain.models.arrays import Floats, to_npz
from recommender.domain.models.next_item import LISTED
from recommender.domain.serving.features import FEATURES
from recommender.errors import ArtifactRefused
from tqdm import tqdm

from training_jobs.counting.counts import write_statistics
from training_jobs.counting.lines import label_cuts, read_lines, shopper_line
from training_jobs.counting.visits import Visits, read_visits
from training_jobs.environment import CONTENT_ROWS, SHOPPERS, JobEnvironment
from training_jobs.exports import Exports, exports_of
from training_jobs.next_item.encoder import (
    EncoderSettings,
    SessionEncoder,
    as_function,
    encode,
    forget,
    to_onnx,
    vectors_of,
)
from training_jobs.next_item.encoder_training import Sequences, TrainingSettings
from training_jobs.next_item.fitting import with_facts
from training_jobs.next_item.prefixes import Knn
from training_jobs.next_item.session_model import ORDERLESS, SessionModel, SessionModelSettings, fit_session_model
from training_jobs.onnx_models import assert_parity
from training_jobs.session_ranker.fitting import (
    JUST_AFTER,
    Counted,
    Models,
    RankerPlan,
    SessionPart,
    count_until,
    fit_ranker,
    visit_facts,
)
from training_jobs.session_ranker.ranker import Ranker, RankerSettings, TrainedRanker, ranker_onnx
from training_jobs.session_ranker.ranker import as_function as ranker_function
from training_jobs.two_tower.export import retrieval_parity
from training_jobs.two_tower.towers import EARLY, Towers, load_towers

CHECKED_VISITS = 50
PARITY_VISITS = ([0], [0, 1, 2], [2, -1, 0], [-1])


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyperparameters. Seconds are of CPU; 0 sets no bound."""

    holdout_days: int = 28
    groups_per_cut: int = 1000
    candidates: int = 600
    encoder_width: int = 64
    encoder_epochs: float = 2.0
    encoder_seconds: float = 45.0
    encoder_tail_prefixes: int = 800
    ranker_epochs: int = 4
    seed: int = 1

    def plan(self) -> RankerPlan:
        """As the ranker's fitting reads them."""
        return RankerPlan(
            self.groups_per_cut, self.candidates, RankerSettings(epochs=self.ranker_epochs, seed=self.seed)
        )


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of the job."""

    exports: Exports
    content_vectors: Floats  # (T, C)
    content_rows: NDArray[np.int32]  # (I,)
    early_towers: Towers  # trained before the first label cut


def main(environment: JobEnvironment) -> None:
    """Run the job."""
    started = time.process_time()
    settings = environment.settings(Settings)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    inputs = read_inputs(environment)
    evaluate_from = inputs.exports.data_until - timedelta(days=settings.holdout_days)
    cuts = label_cuts(inputs.exports.data_from, evaluate_from)
    early_visits = _visits(inputs.exports, cuts[0])
    model = fit_encoder(early_visits, len(inputs.exports.item_ids), settings)
    ranker = fit_ranker(
        inputs.exports,
        cuts=cuts,
        evaluate_from=evaluate_from,
        content_rows=inputs.content_rows,
        models=_models(inputs, model),
        plan=settings.plan(),
    )
    final = count_until(inputs.exports, inputs.exports.data_until + JUST_AFTER, inputs.content_rows)
    parity = write(environment.model_dir, final, model, ranker)
    visits = final.statistics.visits
    environment.write_curves(
        {
            "encoder_loss": [loss for _, loss in model.run.curve],
            "ranker_loss": [point["loss"] for point in ranker.curve],
        }
    )
    environment.write_metrics(
        {
            "onnx_parity": parity,
            "items": len(final.statistics.item_ids),
            "visits": {"all": len(visits), "baskets": visits.count_baskets},
            "encoder": _encoder_metrics(model, early_visits),
            "ranker": dict(ranker.metrics),
            "moments": {"label_cuts": [str(cut) for cut in cuts], "evaluate_from": str(evaluate_from)},
            "cpu_seconds": round(time.process_time() - started, 1),
        }
    )


def read_inputs(environment: JobEnvironment) -> Inputs:
    """Exports, content and towers; refuses channels made for other items."""
    exports = exports_of(environment)
    content, towers = environment.channel("content"), environment.channel("two_tower")
    item_ids = np.load(content / artifacts.ITEM_IDS)
    if not np.array_equal(item_ids, exports.item_ids):
        raise ArtifactRefused(f"channel content has {len(item_ids)} items that are not those of the exports")
    early_towers = load_towers(towers / EARLY)
    if len(early_towers.item_vectors) != len(item_ids):
        found = len(early_towers.item_vectors)
        raise ArtifactRefused(f"channel two_tower has {found} items, the exports have {len(item_ids)}")
    return Inputs(exports, np.load(content / artifacts.CONTENT_VECTORS), np.load(content / CONTENT_ROWS), early_towers)


def fit_encoder(visits: Visits, count_items: int, settings: Settings) -> SessionModel:
    """The encoder, and the kNN settings that suit these visits."""
    model = fit_session_model(
        Sequences(visits.offsets, visits.items),
        visits.days,
        count_items=count_items,
        settings=SessionModelSettings(
            EncoderSettings(width=settings.encoder_width),
            TrainingSettings(epochs=settings.encoder_epochs, seconds=settings.encoder_seconds, seed=settings.seed),
            tail_prefixes=settings.encoder_tail_prefixes,
            knn_choices=(Knn(), Knn(ORDERLESS)),
            refit=False,
        ),
        report=lambda line: tqdm.write(line, file=sys.stderr),
    )
    unseen = np.flatnonzero(np.bincount(visits.items, minlength=count_items) == 0)
    forget(model.encoder, unseen)
    return replace(model, item_vectors=vectors_of(model.encoder))


def write(folder: Path, counted: Counted, model: SessionModel, ranker: TrainedRanker) -> dict[str, dict[str, float]]:
    """All files of the job; returns how far each ONNX file is from its PyTorch source, at most 1e-4."""
    statistics, segments = counted.statistics, counted.segments
    index = statistics.session_index.with_settings(model.knn.settings)
    write_statistics(replace(statistics, session_index=index), folder)
    (folder / artifacts.COHORTS).write_bytes(to_npz(segments.lists()))
    with (folder / SHOPPERS).open("w") as lines:
        for shopper in statistics.histories.shoppers(segments.of_shopper):
            lines.write(shopper_line(shopper) + "\n")
    np.save(folder / artifacts.SESSION_ITEM_VECTORS, model.item_vectors)
    (folder / artifacts.SESSION_ENCODER).write_bytes(to_onnx(model.encoder))
    retrieval, retrieval_kept = retrieval_parity(
        model.item_vectors, _visit_vectors(model), name=artifacts.SESSION_RETRIEVAL, returned=LISTED
    )
    (folder / artifacts.SESSION_RETRIEVAL).write_bytes(retrieval)
    (folder / artifacts.NEXT_ITEM).write_bytes(to_npz(with_facts(model.next_item, visit_facts(statistics))))
    (folder / artifacts.RANKER).write_bytes(ranker_onnx(ranker.module))
    parity = {
        artifacts.SESSION_ENCODER: _encoder_parity(model.encoder, folder / artifacts.SESSION_ENCODER),
        artifacts.RANKER: _ranker_parity(ranker.module, folder / artifacts.RANKER),
    }
    exact = {name: {"max_abs_difference": difference} for name, difference in parity.items()}
    return {**exact, artifacts.SESSION_RETRIEVAL: retrieval_kept}


def _visits(exports: Exports, until: datetime) -> Visits:
    return read_visits(exports, read_lines(exports, until=until), until=until)


def _models(inputs: Inputs, model: SessionModel) -> Models:
    session = SessionPart(model.item_vectors, as_function(model.encoder), model.next_item)
    return Models(inputs.content_vectors, inputs.early_towers, session, model.knn.settings)


def _encoder_parity(encoder: SessionEncoder, path: Path) -> float:
    exact, written = as_function(encoder), OnnxModel(path)
    last = encoder.items.num_embeddings - 1
    feeds = [{"items": np.minimum(np.array([visit], np.int64), last)} for visit in PARITY_VISITS]
    return max(assert_parity(exact(feed), written(feed), name=path.name) for feed in feeds)


def _visit_vectors(model: SessionModel) -> Floats:
    """(N, E) of visits to one item each, spread over the items ever seen, for the check of retrieval."""
    seen = np.flatnonzero(model.item_vectors.any(axis=1))
    places = np.unique(np.linspace(0, max(len(seen) - 1, 0), CHECKED_VISITS).astype(np.int64))
    return encode(model.encoder, [[int(row)] for row in seen[places[: len(seen)]]] or [[]])


def _ranker_parity(ranker: Ranker, path: Path) -> float:
    features = np.random.default_rng(0).normal(size=(50, len(FEATURES))).astype(np.float32)
    feed: Mapping[str, NDArray[Any]] = {"features": features}
    return assert_parity(ranker_function(ranker)(feed), OnnxModel(path)(feed), name=path.name)


def _encoder_metrics(model: SessionModel, visits: Visits) -> dict[str, Any]:
    return {
        "visits": len(visits),
        "baskets": visits.count_baskets,
        "epochs": round(model.run.epochs, 2),
        "cpu_seconds": round(model.cpu_seconds, 1),
        "knn": str(model.knn),
        "tail_marks": {name: round(score, 5) for name, score in model.choices.items()},
    }


if __name__ == "__main__":
    main(JobEnvironment.from_environment(os.environ))
