"""Ids of a synthetic history: in no order, as those of browsers and servers are, and the same for the same number.

An engine skips blocks of a table by their smallest and largest value; ids that grow with time would let it skip what it
has to read of a real shop.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from warehouse.sources.synthetic_shop import Numbers

MOST_OF_DAY = 2**32  # sessions, lists or events


def mixed(number: Numbers, salt: Numbers | int) -> NDArray[np.uint64]:
    """(N,) the finaliser of SplitMix64: different numbers of one salt stay different."""
    made = number.astype(np.uint64) + np.broadcast_to(salt, number.shape).astype(np.uint64) * np.uint64(2**61 - 1)
    made = (made + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0x9E3779B97F4A7C15)
    made = (made ^ (made >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    made = (made ^ (made >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(made ^ (made >> np.uint64(31)))


def uniform(number: Numbers, salt: Numbers | int) -> NDArray[np.float64]:
    """(N,) in [0, 1), the same for the same number and salt."""
    return mixed(number, salt) / 2.0**64


def ids(prefix: str, place: int, count: int) -> pl.Series:
    """`count` ids of day `place`, which stands at their end."""
    numbers = pl.Series(prefix, mixed(place * MOST_OF_DAY + np.arange(count), 0))
    return pl.select(pl.format("{}{}-{}", pl.lit(prefix), numbers, pl.lit(place))).to_series()
