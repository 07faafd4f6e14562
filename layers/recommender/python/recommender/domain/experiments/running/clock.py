"""The clock of an experiment: it stands still while the control serves everybody, so that a pause costs no days.

Look days, the time box and novelty are days of exposure. Weekdays and the time that clicks need to mature are not:
they go on during a pause, and are taken from the calendar.

Decisions: docs/decisions/experiments-operation.md (216).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.permitted import may_serve


@dataclass(frozen=True, slots=True)
class Clock:
    """Moments of the calendar as moments of an experiment without its pauses."""

    begins: tuple[datetime, ...] = ()  # of each epoch, in order
    stood_still: tuple[timedelta, ...] = ()  # before each epoch
    is_off: tuple[bool, ...] = ()

    def __call__(self, moment: datetime) -> datetime:
        """The moment less all pauses before it."""
        n = bisect_right(self.begins, moment) - 1
        if n < 0:
            return moment
        return moment - self.stood_still[n] - (moment - self.begins[n] if self.is_off[n] else timedelta(0))


def clock_of(config: ExperimentConfig, snapshots: Sequence[Snapshot]) -> Clock:
    """The clock of an experiment over these snapshots, in order of their epochs."""
    begins = [datetime.fromisoformat(snapshot.created_at) for snapshot in snapshots]
    off = [_is_off(config, snapshot) for snapshot in snapshots]
    stood_still = [timedelta(0)]
    for n in range(1, len(begins)):
        stood_still.append(stood_still[-1] + (begins[n] - begins[n - 1] if off[n - 1] else timedelta(0)))
    return Clock(tuple(begins), tuple(stood_still[: len(begins)]), tuple(off))


def _is_off(config: ExperimentConfig, snapshot: Snapshot) -> bool:
    """Return whether the control alone may serve, in every placement: paused, killed whole or killed part by part."""
    then = snapshot.config(config.experiment_id)
    return then is not None and all(may_serve(then, snapshot, name) == then.variants[:1] for name in then.placements)
