"""What the calendar does to a comparison: the novelty of the first days, and weekdays that favour a variant.

A variant may be clicked because it is new, or do better at weekends. A lift that is to last is neither: it is the
average over a week, after the novelty has worn off. So the log lift of epoch t is d + x_t . theta with a fading
first-days effect and one effect a weekday, shared by all placements; theta has a prior centred at nothing, as wide as
the data ask for (a mixture over levels), and what is reported is d plus the average over the seven weekdays. Before a
weekday was seen its effect is unknown and widens the interval; so a test may stop within a week and say less, but
nothing that a weekend refutes. Letters: T epochs, F features, G levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.domain.arrays import Doubles
from recommender.domain.experiments.design import WEEK_DAYS

NOVELTY_DAYS: Final = 3.0  # the novelty of a variant fades as e^(-day / 3)
WEEKDAY_SD: Final = 0.05  # of a weekday's log lift around the week's
NOVELTY: Final = ((0.5, 5e-4), (0.5, 0.2))  # (prior probability, sd of the log lift on day 0)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Time features of each epoch and how large their effects may be."""

    features: Doubles  # (T, F)
    target: Doubles  # (F,) weight of each effect in the lift that is asked for
    levels: tuple[tuple[float, Doubles], ...]  # G x (prior probability, sds (F,))


def no_calendar(count_epochs: int) -> Calendar:
    """Lifts that are the same at all times."""
    return Calendar(np.zeros((count_epochs, 0)), np.zeros(0), ((1.0, np.zeros(0)),))


def standard_calendar(days: Sequence[float], dates: Sequence[float] | None = None) -> Calendar:
    """The calendar of epochs that began so many days after the start: novelty, then one feature a weekday.

    `days` are days in force, `dates` days of the calendar; the same where the experiment was never off.
    """
    since = np.asarray(days, dtype=float)  # (T,)
    weekday = np.floor(since if dates is None else np.asarray(dates, dtype=float)).astype(int) % WEEK_DAYS
    features = np.concatenate([np.exp(-since / NOVELTY_DAYS)[:, None], np.eye(WEEK_DAYS)[weekday]], axis=1)
    target = np.r_[0.0, np.full(WEEK_DAYS, 1 / WEEK_DAYS)]
    levels = tuple((share, np.r_[sd, np.full(WEEK_DAYS, WEEKDAY_SD)]) for share, sd in NOVELTY)
    return Calendar(features, target, levels)
