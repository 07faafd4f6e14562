"""The course of an experiment: traffic, and what the looks said. One row an epoch while they are few, then one a day.

Letters: P placements, T epochs, K variants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from recommender.domain.arrays import Counts
from recommender.domain.experiments.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.placement_rows import current_weights
from recommender.domain.experiments.standing import Record

SHOWN_ROWS: Final = 96  # newest; a report must fit into one answer of 6 MB
DAY_SECONDS: Final = 86_400
DIGITS: Final = 6


def history(
    config: ExperimentConfig,
    snapshots: Sequence[Snapshot],
    records: Sequence[Record],
    *,
    epochs: Sequence[int],
    exposures: Counts,  # (P, T, K)
    clicks: Counts,  # (P, T, K)
    now: datetime,
    clock: Callable[[datetime], datetime] = lambda moment: moment,
) -> list[dict[str, Any]]:
    """Rows in order of time; a row lasts from `from_day` to `day`, days in force of the experiment."""
    running = [snapshot for snapshot in snapshots if snapshot.config(config.experiment_id)]
    ends = _ends(running, snapshots, now, clock)
    row_of = {epoch: t for t, epoch in enumerate(epochs)}
    by_epoch = {int(record["epoch"]): record for record in records}
    rows: list[dict[str, Any]] = []
    for group in _groups(running):
        told = [by_epoch[snapshot.epoch] for snapshot in group if snapshot.epoch in by_epoch]
        counted = [row_of[snapshot.epoch] for snapshot in group if snapshot.epoch in row_of]
        last = group[-1]
        record = next((record for record in reversed(told) if record.get("look")), told[-1] if told else None)
        rows.append(
            {
                "from_day": rows[-1]["day"] if rows else 0.0,
                "day": round(ends[last.epoch], 4),
                "epoch": last.epoch,
                "is_look": bool(record and record.get("look")),
                "boundary": record.get("boundary") if record else None,
                "pooled_lifts": _lifts(config, record, "pooled_lifts"),
                "present_lifts": _lifts(config, record, "present_lifts"),
                "pooled_z": _rounded(record["global"]["z"]) if record and "global" in record else None,
                "placements": {
                    placement: {
                        "weights": _rounded(current_weights(config, last, placement)),
                        "exposures": exposures[p, counted].sum(axis=0).tolist(),
                        "clicks": clicks[p, counted].sum(axis=0).tolist(),
                        **_said(record, placement),
                    }
                    for p, placement in enumerate(config.placements)
                },
            }
        )
    return rows[-SHOWN_ROWS:]


def ended_at(config: ExperimentConfig, snapshots: Sequence[Snapshot], now: datetime) -> datetime:
    """When the experiment went out of force; now, or the newest epoch of a simulated clock, where it has not."""
    last = max((n for n, snapshot in enumerate(snapshots) if snapshot.config(config.experiment_id)), default=-1)
    if -1 < last < len(snapshots) - 1:
        return datetime.fromisoformat(snapshots[last + 1].created_at)
    return max(now, datetime.fromisoformat(snapshots[-1].created_at))


def _ends(
    running: Sequence[Snapshot],
    snapshots: Sequence[Snapshot],
    now: datetime,
    clock: Callable[[datetime], datetime],
) -> dict[int, float]:
    """epoch -> days in force at its end: the beginning of the next epoch, or now."""
    begins = {snapshot.epoch: datetime.fromisoformat(snapshot.created_at) for snapshot in snapshots}
    first = begins[running[0].epoch] if running else now
    return {
        snapshot.epoch: (clock(begins.get(snapshot.epoch + 1, now)) - clock(first)).total_seconds() / DAY_SECONDS
        for snapshot in running
    }


def _groups(running: Sequence[Snapshot]) -> list[list[Snapshot]]:
    """Single epochs, or where they are many the epochs that began on the same day since the start."""
    if len(running) <= SHOWN_ROWS:
        return [[snapshot] for snapshot in running]
    start = datetime.fromisoformat(running[0].created_at)
    groups: dict[int, list[Snapshot]] = {}
    for snapshot in running:
        age = (datetime.fromisoformat(snapshot.created_at) - start).total_seconds()
        groups.setdefault(int(age // DAY_SECONDS), []).append(snapshot)
    return list(groups.values())


def _lifts(config: ExperimentConfig, record: Record | None, name: str) -> list[list[float]] | None:
    """The lifts of a stored look; None where it had fewer clicks than the design registers for a lift."""
    if record is None or name not in record or record["clicks"] < config.design.least_clicks * len(config.variants):
        return None
    return [_rounded(lift) for lift in record[name]]


def _said(record: Record | None, placement: str) -> Mapping[str, Any]:
    """What a stored look said of a placement; nulls where there was none."""
    entry = record["placements"].get(placement, {}) if record else {}
    names = ("probability_best", "expected_loss", "z")
    return {name: _rounded(entry[name]) if entry.get(name) is not None else None for name in names}


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
