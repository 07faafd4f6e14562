"""The tiny bundle as files: what the jobs write, with hand-made ONNX graphs of a few nodes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import Kind, Manifest
from recommender.domain.models.arrays import to_npz
from recommender.domain.serving.features import FEATURES
from recommender.ports import ArtifactStore
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from tests.tiny_bundle import COUNT, RETRIEVED, tiny_bundle
from training_jobs.publishing import Origin, build_manifest, describe_files, publish

CREATED_AT = datetime(2026, 11, 23, 3, 0, 0, tzinfo=UTC)
ORIGIN = Origin("c0ffee", "code", "data", "2026-01-01T00:00:00Z", "2026-11-22T00:00:00Z")
WORDS = {"[UNK]": 0, "apple": 1, "juice": 2, "bread": 3}


def write_bundle_files(folder: Path) -> dict[str, Path]:
    """Every required file below `folder`; the same bytes at every call."""
    bundle = tiny_bundle()
    folder.mkdir(parents=True, exist_ok=True)
    for file in names.BUNDLE_FILES:
        if file.kind is Kind.RECORD:
            (folder / file.name).write_bytes(to_npz(getattr(bundle, file.field)))
        if file.kind is Kind.ARRAY:
            np.save(folder / file.name, getattr(bundle, file.field))
    lines = [json.dumps(bundle.catalogue.describe(row)).encode() + b"\n" for row in range(COUNT)]
    (folder / names.CATALOGUE).write_bytes(b"".join(lines))
    np.save(folder / names.CATALOGUE_OFFSETS, np.cumsum([0, *map(len, lines)], dtype=np.int64))
    (folder / names.FALLBACK).write_text(json.dumps(bundle.fallback))
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / names.TOKENIZER))
    _write_models(folder, bundle.item_vectors, bundle.session_item_vectors, bundle.content_vectors)
    return {name: folder / name for name in names.REQUIRED_FILES}


def manifest_of(paths: dict[str, Path], *, created_at: datetime = CREATED_AT) -> Manifest:
    """The manifest that publishing would write."""
    return build_manifest(
        describe_files(paths), ORIGIN, created_at=created_at, features=FEATURES, metrics={}, gate={}, settings={}
    )


def publish_tiny(store: ArtifactStore, folder: Path, *, created_at: datetime = CREATED_AT) -> str:
    """Publish the tiny bundle into `store`; returns its id."""
    paths = write_bundle_files(folder)
    return publish(store, manifest_of(paths, created_at=created_at), paths)


def write_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[int | str]]],
    outputs: dict[str, tuple[int, list[int | str]]],
    constants: dict[str, NDArray[np.generic]],
) -> None:
    """A checked ONNX file."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _write_models(
    folder: Path, items: NDArray[np.float32], sessions: NDArray[np.float32], content: NDArray[np.float32]
) -> None:
    number, real = TensorProto.INT64, TensorProto.FLOAT
    node = helper.make_node
    write_graph(
        folder / names.USER_TOWER,
        [
            node("Gather", ["items", "history"], ["rows"]),  # (1, L, D)
            node("Unsqueeze", ["weights", "last"], ["weight"]),  # (1, L, 1)
            node("Mul", ["rows", "weight"], ["weighted"]),
            node("ReduceMean", ["weighted"], ["user_vec"], axes=[1], keepdims=0),
        ],
        {"history": (number, [1, "L"]), "weights": (real, [1, "L"])},
        {"user_vec": (real, [1, items.shape[1]])},
        {"items": items, "last": np.array([2], np.int64)},
    )
    write_graph(
        folder / names.SESSION_ENCODER,
        [
            node("Gather", ["table", "items"], ["rows"]),
            node("ReduceMean", ["rows"], ["session_vec"], axes=[1], keepdims=0),
        ],
        {"items": (number, [1, "L"])},
        {"session_vec": (real, [1, sessions.shape[1]])},
        {"table": sessions},
    )
    write_graph(
        folder / names.RANKER,
        [
            node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=0),
            node("Sigmoid", ["mean"], ["score"]),
        ],
        {"features": (real, ["C", len(FEATURES)])},
        {"score": (real, ["C"])},
        {},
    )
    write_graph(
        folder / names.QUERY_ENCODER,
        [
            node("Gather", ["words", "input_ids"], ["rows"]),
            node("Cast", ["attention_mask"], ["mask"], to=real),
            node("Unsqueeze", ["mask", "last"], ["weight"]),
            node("Mul", ["rows", "weight"], ["weighted"]),
            node("ReduceSum", ["weighted", "second"], ["total"], keepdims=0),
            node("LpNormalization", ["total"], ["text_vec"], axis=-1, p=2),
        ],
        {"input_ids": (number, ["B", "L"]), "attention_mask": (number, ["B", "L"])},
        {"text_vec": (real, ["B", content.shape[1]])},
        {"words": content[: len(WORDS)], "last": np.array([2], np.int64), "second": np.array([1], np.int64)},
    )
    write_retrieval(folder / names.RETRIEVAL, items)
    write_retrieval(folder / names.SESSION_RETRIEVAL, sessions)


def write_retrieval(path: Path, items: NDArray[np.float32]) -> None:
    """Exact scan and top RETRIEVED, with the tensors of the 8-bit graph."""
    node = helper.make_node
    write_graph(
        path,
        [node("MatMul", ["q", "columns"], ["scores"]), node("TopK", ["scores", "count"], ["v", "i"], axis=1)],
        {"q": (TensorProto.FLOAT, [1, items.shape[1]])},
        {"v": (TensorProto.FLOAT, [1, RETRIEVED]), "i": (TensorProto.INT64, [1, RETRIEVED])},
        {"columns": np.ascontiguousarray(items.T), "count": np.array([RETRIEVED], np.int64)},
    )
