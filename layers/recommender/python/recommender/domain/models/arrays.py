"""Array types, and the rule for artifacts: a frozen dataclass of arrays is one .npz with its field names.

Training writes what serving reads through the same two functions, so a field can be neither
forgotten nor renamed on one side only.
"""

from __future__ import annotations

import io
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.int32]  # item rows of the bundle
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]
Ids = NDArray[np.bytes_]

T = TypeVar("T")


def to_npz(record: Any) -> bytes:
    """An uncompressed .npz of the dataclass's fields (scalars become 0-d arrays)."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {field.name: np.asarray(getattr(record, field.name)) for field in fields(record)}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def from_npz(kind: type[T], content: bytes) -> T:
    """The dataclass that `to_npz` wrote; KeyError where a field is missing."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        values = {field.name: arrays[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value.item() if value.ndim == 0 else value for name, value in values.items()})
