"""ONNX files as models: what is no model is refused, what fails in use is a dependency that is down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recommender.adapters.onnx import OnnxModel, QueryEncoder, normalise
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import TensorSpec
from recommender.errors import ArtifactRefused, DependencyDown

from tests.adapters.bundle_files import write_bundle_files
from tests.tiny_bundle import WIDTH


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_bundle_files(tmp_path_factory.mktemp("files"))


def test_a_model_knows_its_tensors(files: dict[str, Path]) -> None:
    model = OnnxModel(files[names.USER_TOWER])

    assert model.inputs == (
        TensorSpec("history", "int64", (1, None)),
        TensorSpec("weights", "float32", (1, None)),
    )
    assert model.outputs == (TensorSpec("user_vec", "float32", (1, WIDTH)),)


def test_other_tensors_than_expected_are_refused(files: dict[str, Path]) -> None:
    model = OnnxModel(files[names.USER_TOWER])

    with pytest.raises(ArtifactRefused, match=r"outputs user_vec float32\(1, 8\), the manifest has user_vec float32"):
        model.check(inputs=model.inputs, outputs=[TensorSpec("user_vec", "float32", (1, 64))])


def test_bytes_that_are_no_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ranker.onnx").write_bytes(b"no model at all")

    with pytest.raises(ArtifactRefused, match=r"ranker\.onnx is no ONNX model"):
        OnnxModel(tmp_path / "ranker.onnx")


def test_a_missing_or_wrongly_typed_input_is_a_dependency_down(files: dict[str, Path]) -> None:
    model = OnnxModel(files[names.RANKER])

    with pytest.raises(DependencyDown, match=r"ranker\.onnx"):
        model({})
    with pytest.raises(DependencyDown, match=r"ranker\.onnx"):
        model({"features": np.zeros((2, 3), np.int64)})


def test_a_file_that_is_no_tokenizer_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("[]")

    with pytest.raises(ArtifactRefused, match=r"tokenizer\.json"):
        QueryEncoder.load(OnnxModel(files[names.QUERY_ENCODER]), tmp_path / "tokenizer.json")


def test_each_encoder_has_a_cache_of_its_own(files: dict[str, Path]) -> None:
    first, second = (QueryEncoder.load(OnnxModel(files[names.QUERY_ENCODER]), files[names.TOKENIZER]) for _ in range(2))

    assert first("apple") is first("apple")
    assert first("apple") is not second("apple")
    assert np.array_equal(first("apple"), second("apple"))


def test_query_texts_are_normalised_and_bounded() -> None:
    assert normalise("  Tomato\t SOUP ") == "tomato soup"
    assert len(normalise("x" * 1000)) == 256


def test_an_empty_query_has_a_vector_without_direction_at_worst(files: dict[str, Path]) -> None:
    encoder = QueryEncoder.load(OnnxModel(files[names.QUERY_ENCODER]), files[names.TOKENIZER])

    assert np.isfinite(encoder("   ")).all()
