"""The job whole, on a small generated shop: every file of the bundle that it owes, in agreement with its sources."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from recommender.adapters.onnx import OnnxModel
from recommender.contracts import artifacts
from recommender.domain.models.arrays import Floats, from_npz, to_npz
from recommender.domain.models.bundle import Cohorts
from recommender.domain.models.posterior import PreferencePrior
from recommender.domain.models.session_knn import SessionIndex
from recommender.domain.serving.features import FEATURES
from recommender.errors import ArtifactRefused

from tests.training.shop import START, frame, shop
from training_jobs.environment import JobEnvironment, read_metrics
from training_jobs.exports import Exports, write_exports
from training_jobs.session_ranker.train import main
from training_jobs.two_tower.towers import EARLY

ITEMS, SHOPPERS, DAYS, WIDTH = 60, 40, 85, 8  # an export ends within a day of its last purchase
OWED = (
    artifacts.ITEM_IDS,
    artifacts.CATALOGUE,
    artifacts.CATALOGUE_OFFSETS,
    artifacts.ITEM_TABLE,
    artifacts.PRIOR,
    artifacts.SESSION_INDEX,
    artifacts.CO_PURCHASE,
    artifacts.COMPLEMENTS,
    artifacts.DISCOVERY,
    artifacts.COHORTS,
    artifacts.SESSION_ENCODER,
    artifacts.SESSION_ITEM_VECTORS,
    artifacts.SESSION_RETRIEVAL,
    artifacts.NEXT_ITEM,
    artifacts.RANKER,
    artifacts.FALLBACK,
)


def small_shop() -> Exports:
    """Everybody buys five items of a favourite shelf of ten, every week."""
    rng = np.random.default_rng(1)
    purchases = []
    for day in range(0, DAYS, 7):
        for shopper in range(SHOPPERS):
            shelf = (shopper + int(rng.random() < 0.2)) % (ITEMS // 10)
            moment = START + timedelta(days=day, minutes=shopper)
            for item in rng.choice(10, size=5, replace=False):
                purchases.append((f"s{shopper:02d}", f"i{10 * shelf + item:02d}", f"o{day}-{shopper}", moment, 1, 100))
    items = [
        (f"i{n:02d}", f"Item {n}", "", f"Shelf > {n // 10}", "Brand", 100 + n, 0.3, False, "in_stock")
        for n in range(ITEMS)
    ]
    attributes = [(f"s{n:02d}", json.dumps({"kind": "odd" if n % 2 else "even"})) for n in range(SHOPPERS)]
    exports = shop(
        purchases=frame("purchases", purchases), items=frame("items", items), shoppers=frame("shoppers", attributes)
    )
    return replace(exports, data_from=START, data_until=START + timedelta(days=DAYS))


def user_tower(vectors: Floats) -> bytes:
    """The unit sum of the history's item vectors."""
    nodes = [
        helper.make_node("Gather", ["items", "history"], ["found"], axis=0),  # (1, L, D)
        helper.make_node("Unsqueeze", ["weights", "last"], ["wide"]),
        helper.make_node("Mul", ["found", "wide"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "middle"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["user_vec"], axis=1, p=2),
    ]
    constants = [
        numpy_helper.from_array(vectors, "items"),
        numpy_helper.from_array(np.array([2], np.int64), "last"),
        numpy_helper.from_array(np.array([1], np.int64), "middle"),
    ]
    graph = helper.make_graph(
        nodes,
        "user_tower",
        [
            helper.make_tensor_value_info("history", TensorProto.INT64, [1, None]),
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, [1, None]),
        ],
        [helper.make_tensor_value_info("user_vec", TensorProto.FLOAT, [1, vectors.shape[1]])],
        constants,
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def channels(folder: Path, exports: Exports) -> dict[str, Path]:
    """Exports, content and towers as the earlier jobs write them."""
    found = {name: folder / name for name in ("exports", "content", "two_tower")}
    for path in found.values():
        path.mkdir(parents=True)
    write_exports(found["exports"], exports, source="test", created_at=exports.data_until)
    shelves = np.arange(ITEMS) // 10
    vectors = np.eye(WIDTH, dtype=np.float32)[shelves % WIDTH]
    np.save(found["content"] / artifacts.ITEM_IDS, exports.item_ids)
    np.save(found["content"] / artifacts.CONTENT_VECTORS, vectors)
    np.save(found["content"] / "content_rows.npy", np.arange(ITEMS, dtype=np.int32))
    early = found["two_tower"] / EARLY
    early.mkdir()
    np.save(early / artifacts.ITEM_VECTORS, vectors)
    (early / artifacts.USER_TOWER).write_bytes(user_tower(vectors))
    prior = PreferencePrior(vectors.mean(0), np.eye(WIDTH, dtype=np.float32), np.full(WIDTH, 0.2, np.float32), 1.0)
    (early / artifacts.PREFERENCE).write_bytes(to_npz(prior))
    return found


def environment(folder: Path, exports: Exports) -> JobEnvironment:
    for name in ("model", "output", "checkpoints"):
        (folder / name).mkdir()
    small = {"groups_per_cut": 40, "candidates": 60, "encoder_width": 16, "encoder_epochs": 100, "ranker_epochs": 2}
    return JobEnvironment(
        folder / "model", folder / "output", folder / "checkpoints", channels(folder / "channels", exports), small
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    main(environment(folder, small_shop()))
    return folder / "model"


def test_it_writes_every_file_it_owes_and_says_how_it_went(finished: Path) -> None:
    assert all((finished / name).is_file() for name in OWED)

    metrics = read_metrics(finished)
    assert metrics["items"] == ITEMS
    assert metrics["visits"] == {"all": 13 * SHOPPERS, "baskets": 13 * SHOPPERS}
    assert set(metrics["onnx_parity"]) == {artifacts.SESSION_ENCODER, artifacts.SESSION_RETRIEVAL, artifacts.RANKER}
    assert metrics["onnx_parity"][artifacts.SESSION_RETRIEVAL]["rank_agreement"] >= 0.9
    assert all(parity["max_abs_difference"] <= 1e-4 for parity in metrics["onnx_parity"].values())
    assert metrics["moments"]["evaluate_from"] == str(START + timedelta(days=DAYS - 28))
    # 62 days before the holdout are a third each: before the first cut, and two windows of labels
    assert metrics["moments"]["label_cuts"][0] == str(START + timedelta(days=DAYS - 28) / 3)


def test_the_written_encoder_knows_the_shelves(finished: Path) -> None:
    vectors = np.load(finished / artifacts.SESSION_ITEM_VECTORS)
    encoder = OnnxModel(finished / artifacts.SESSION_ENCODER)

    after = encoder({"items": np.array([[31, 34, 38]])})["session_vec"][0]

    near = np.argsort(-(vectors @ after))[:10]
    assert (near // 10 == 3).mean() > 0.8


def test_the_written_ranker_gives_probabilities(finished: Path) -> None:
    scores = OnnxModel(finished / artifacts.RANKER)({"features": np.zeros((7, len(FEATURES)), np.float32)})["score"]

    assert scores.shape == (7,)
    assert ((scores > 0) & (scores < 1)).all()


def test_shoppers_and_cohorts_belong_together(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "shoppers.jsonl").read_text().splitlines()]
    cohorts = from_npz(Cohorts, (finished / artifacts.COHORTS).read_bytes())

    assert len(lines) == SHOPPERS
    assert all(0 <= line["cohort"] < len(cohorts.names) for line in lines)
    assert all(line["history"]["count_orders"] == 13 for line in lines)


def test_counts_reach_the_end_of_the_data(finished: Path) -> None:
    index = from_npz(SessionIndex, (finished / artifacts.SESSION_INDEX).read_bytes())

    assert len(index.session_days) == 13 * SHOPPERS


def test_content_of_another_catalogue_is_refused(tmp_path: Path) -> None:
    asked = environment(tmp_path, small_shop())
    np.save(tmp_path / "channels" / "content" / artifacts.ITEM_IDS, np.array([b"x"]))

    with pytest.raises(ArtifactRefused, match="channel content has 1 items"):
        main(asked)
