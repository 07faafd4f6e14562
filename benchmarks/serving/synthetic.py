"""A bundle of any number of items, published as the jobs publish theirs: real files of a made-up shop.

What is counted is counted from the shop's exports, and every model is one that a job exports, with the weights it
starts from: what a model answers is of no use, and costs what a trained one costs. Only the texts' vectors are drawn,
since encoding them would take as long as all the rest.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.adapters.folder import FolderArtifacts
from recommender.contracts import artifacts as names
from recommender.domain.models.arrays import Floats, to_npz
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.search import Fusion
from recommender.domain.serving.features import FEATURES

from benchmarks.serving.synthetic_shop import UNTIL, draw_exports
from training_jobs.content_bert.data import catalogue_fields
from training_jobs.content_bert.export import export_onnx, quantize
from training_jobs.content_bert.lexical import build_index
from training_jobs.content_bert.model import TextModel
from training_jobs.exports import Exports
from training_jobs.next_item.encoder import EncoderSettings, vectors_of
from training_jobs.next_item.encoder_training import TrainingRun, new_encoder
from training_jobs.next_item.fitting import FittingSettings, plain
from training_jobs.next_item.prefixes import Knn
from training_jobs.next_item.session_model import SessionModel
from training_jobs.publishing import Origin, build_manifest, collect_files, describe_files, publish
from training_jobs.session_ranker.fitting import Counted, count_until, visit_facts
from training_jobs.session_ranker.ranker import Ranker, RankerSettings, TrainedRanker
from training_jobs.session_ranker.train import write as write_session_ranker
from training_jobs.two_tower.data import Catalogue, catalogue, purchases
from training_jobs.two_tower.export import retrieval_onnx, user_tower_onnx
from training_jobs.two_tower.model import UserTower
from training_jobs.two_tower.towers import as_function, preference_prior
from training_jobs.two_tower.training import TowerSettings, new_towers

CONTENT_WIDTH: Final = 128
DISTINCT_TEXTS: Final = 0.85  # T / I
ASKED_SHOPPERS: Final = 1_000  # whose vectors the preference is measured on
SPREAD: Final = 0.2  # of the weights of a network that nobody has trained


def publish_synthetic(root: Path, count_items: int, text_model: TextModel, *, seed: int = 1) -> FolderArtifacts:
    """A store below `root` with the bundle in force; the same arguments give the same counts and weights.

    `text_model` becomes the query encoder.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    exports = draw_exports(count_items, seed=seed)
    store = FolderArtifacts(root)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        content, rows = _write_content(folder, exports, text_model, rng)
        counted = count_until(exports, UNTIL, rows)
        _write_towers(folder, counted, catalogue(counted.statistics.items, content), seed)
        write_session_ranker(folder, counted, _session_model(counted, seed, rng), _ranker())
        paths = collect_files([folder])
        manifest = build_manifest(
            describe_files(paths),
            Origin("synthetic", "", exports.data_hash, f"{exports.data_from}Z", f"{exports.data_until}Z"),
            created_at=UNTIL.replace(tzinfo=UTC) + timedelta(hours=3),
            features=FEATURES,
            metrics={},
            gate={},
            settings={"derived_data": exports.derived},
        )
        publish(store, manifest, paths)
    return store


def _write_content(
    folder: Path, exports: Exports, text_model: TextModel, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int32]]:
    """The files of the content job; returns the vectors (T, C) and the row of each item's text (I,)."""
    count = exports.items.height
    encoder = text_model.encoder
    if encoder.width > CONTENT_WIDTH:
        basis, _ = np.linalg.qr(rng.normal(size=(encoder.width, CONTENT_WIDTH)))
        encoder.project(basis.astype(np.float32))
    export_onnx(encoder, folder / "exact.onnx")
    quantize(folder / "exact.onnx", folder / names.QUERY_ENCODER)
    text_model.tokenizer.save(str(folder / names.TOKENIZER), pretty=False)
    texts = max(int(DISTINCT_TEXTS * count), 1)
    rows = np.concatenate([np.arange(texts), rng.integers(texts, size=count - texts)]).astype(np.int32)
    vectors = rng.normal(size=(texts, encoder.width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(folder / names.CONTENT_VECTORS, vectors)
    (folder / names.LEXICAL).write_bytes(to_npz(build_index(catalogue_fields(exports))))
    return vectors, rows


def _write_towers(folder: Path, counted: Counted, items: Catalogue, seed: int) -> None:
    """The files of the two-tower job."""
    statistics = counted.statistics
    bought = purchases(
        statistics.histories, statistics.lines, now_days=counted.now_days, count_items=len(statistics.item_ids)
    )
    user = UserTower(new_towers(bought, items, TowerSettings(seed=seed))).eval()
    vectors: Floats = user.vectors.numpy()
    asked = replace(bought, offsets=bought.offsets[: ASKED_SHOPPERS + 1])
    preference = preference_prior(as_function(user), vectors, asked, np.random.default_rng(seed))
    np.save(folder / names.ITEM_VECTORS, vectors)
    (folder / names.USER_TOWER).write_bytes(user_tower_onnx(user))
    (folder / names.RETRIEVAL).write_bytes(retrieval_onnx(vectors))
    (folder / names.PREFERENCE).write_bytes(to_npz(preference))


def _session_model(counted: Counted, seed: int, rng: np.random.Generator) -> SessionModel:
    encoder = new_encoder(len(counted.statistics.item_ids), EncoderSettings(), seed=seed)
    fusion = Fusion("share", (0.5, 0.5))
    mix = plain(visit_facts(counted.statistics), fusion, encoder.settings.temperature)
    return SessionModel(
        index=counted.statistics.session_index,
        knn=Knn(),
        encoder=encoder,
        item_vectors=vectors_of(encoder),
        fusion=fusion,
        next_item=_with_hidden_units(mix, rng),
        now_days=counted.now_days,
        run=TrainingRun(0, 0.0, 0.0),
    )


def _with_hidden_units(mix: NextItem, rng: np.random.Generator) -> NextItem:
    """The network of the mix as large as the job fits it."""
    first, second = FittingSettings().hidden

    def drawn(*shape: int) -> Floats:
        return rng.normal(0.0, SPREAD, shape).astype(np.float32)

    return replace(
        mix,
        low=np.full(len(mix.skip), -30.0, np.float32),
        high=np.full(len(mix.skip), 70.0, np.float32),
        hidden_1=drawn(first, len(mix.skip)),
        bias_1=drawn(first),
        hidden_2=drawn(second, first),
        bias_2=drawn(second),
        out=drawn(second),
    )


def _ranker() -> TrainedRanker:
    count = len(FEATURES)
    ranker = Ranker(np.zeros(count, np.float32), np.ones(count, np.float32), RankerSettings().hidden)
    return TrainedRanker(ranker.eval(), (), {})
