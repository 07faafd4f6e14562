"""ONNX files as the domain's models, and the live query encoder.

One thread a session: a Lambda has about one core, and a second thread brings no steady gain. A file
whose inputs or outputs differ from the manifest's is refused when it is loaded, not when a
shopper waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from tokenizers import Tokenizer

from recommender.contracts.artifacts import TensorSpec
from recommender.domain.models.arrays import Floats
from recommender.errors import ArtifactRefused, DependencyDown

CACHED_QUERIES: Final = 4096
QUERY_MAX_CHARACTERS: Final = 256
DTYPES: Final[Mapping[str, str]] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
}
UNREADABLE: Final = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxModel:
    """An ONNX file as a function from named tensors to named tensors."""

    def __init__(self, path: Path) -> None:
        """Load the file. Raises ArtifactRefused where it is no model that this machine can run."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except UNREADABLE as error:
            raise ArtifactRefused(f"{path.name} is no ONNX model that can run here: {error}") from error
        self.name = path.name
        self.inputs = tuple(_spec(entry) for entry in self._session.get_inputs())
        self.outputs = tuple(_spec(entry) for entry in self._session.get_outputs())
        self._output_names = [spec.name for spec in self.outputs]

    def __call__(self, feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Run once. Raises DependencyDown where the model fails, so that serving can do without it."""
        try:
            return dict(zip(self._output_names, self._session.run(self._output_names, dict(feed)), strict=True))
        except UNREADABLE as error:
            raise DependencyDown(f"{self.name} failed: {error}") from error
        except ValueError as error:  # a missing or unknown input
            raise DependencyDown(f"{self.name} was asked with {sorted(feed)}: {error}") from error

    def check(self, *, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> OnnxModel:
        """Return this model, if it has exactly the manifest's tensors. Raises ArtifactRefused."""
        for what, found, expected in (("inputs", self.inputs, inputs), ("outputs", self.outputs, outputs)):
            if found != tuple(expected):
                raise ArtifactRefused(f"{self.name} has {what} {_text(found)}, the manifest has {_text(expected)}")
        return self


class QueryEncoder:
    """Search terms to unit vectors; the same words are encoded once, however they are spaced or cased."""

    def __init__(self, model: OnnxModel, tokenizer: Tokenizer, *, cached: int = CACHED_QUERIES) -> None:
        """The tokenizer cuts as it did in training; it must not pad."""
        self._model = model
        self._tokenizer = tokenizer
        self._cached = lru_cache(maxsize=cached)(self._encode)

    @classmethod
    def load(cls, model: OnnxModel, tokenizer_path: Path) -> QueryEncoder:
        """With the tokenizer of a file. Raises ArtifactRefused."""
        try:
            return cls(model, Tokenizer.from_file(str(tokenizer_path)))
        except Exception as error:
            raise ArtifactRefused(f"{tokenizer_path.name} is no tokenizer: {error}") from error

    def __call__(self, text: str) -> Floats:
        """(C,) read-only unit vector of the text."""
        return self._cached(normalise(text))

    def _encode(self, text: str) -> Floats:
        ids = np.array([self._tokenizer.encode(text).ids], np.int64)  # (1, L)
        vector: Floats = self._model({"input_ids": ids, "attention_mask": np.ones_like(ids)})["text_vec"][0]
        vector.setflags(write=False)
        return vector


def normalise(text: str) -> str:
    """One spelling for the cache: case folded, single spaces, at most 256 characters."""
    return " ".join(text.casefold().split())[:QUERY_MAX_CHARACTERS]


def _spec(entry: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in entry.shape)
    return TensorSpec(entry.name, DTYPES.get(entry.type, entry.type), shape)


def _text(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(
        f"{spec.name} {spec.dtype}({', '.join('*' if size is None else str(size) for size in spec.shape)})"
        for spec in specs
    )
