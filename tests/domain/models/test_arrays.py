"""A record of arrays comes back from its file as it was written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from recommender.domain.models.arrays import Floats, Rows, from_npz, to_npz


@dataclass(frozen=True)
class Record:
    rows: Rows
    scores: Floats
    noise: float


@dataclass(frozen=True)
class Longer(Record):
    trend: Floats


WRITTEN = Record(np.array([3, 1], np.int32), np.empty(0, np.float32), 0.25)


def test_arrays_keep_their_types_and_scalars_come_back_as_python_numbers() -> None:
    read = from_npz(Record, to_npz(WRITTEN))

    assert read.rows.tolist() == [3, 1]
    assert read.scores.shape == (0,)
    assert [str(array.dtype) for array in (read.rows, read.scores)] == ["int32", "float32"]
    assert read.noise == 0.25
    assert type(read.noise) is float


def test_a_field_that_the_file_lacks_is_named() -> None:
    with pytest.raises(KeyError, match="trend"):
        from_npz(Longer, to_npz(WRITTEN))


def test_nothing_is_read_that_could_run_code() -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        from_npz(Record, to_npz(Record(np.array([object()]), WRITTEN.scores, 0.0)))
