"""The course of an experiment: traffic, and what the looks said. One row an epoch while they are few, then one a day.

Letters: P placements, T epochs, K variants.

The report's rows of one placement: its variants as of now, and its newest epochs.

Letters: P placements, T epochs, K variants.

Does a variant do better for some visitors than for others? Segments are one more level of the same hierarchy.

A segment is what was known of the visitor when the list was served: nothing but the context (prior), the visit
(session), or a history (user). The lifts of segments are shrunk together as far as the data agree.

Decisions: docs/decisions/experiments-report.md (139).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from recommender.domain.experiments.evidence.allocation import lifts, rounded
from recommender.domain.experiments.evidence.analysis import Look
from recommender.domain.experiments.evidence.holdout import NO_LIFT, enough, lift_json, rate
from recommender.domain.experiments.evidence.posterior import TAUS, evidence, pool
from recommender.domain.experiments.evidence.standing import Record
from recommender.domain.experiments.evidence.tally import StratifiedCounts, design_effect
from recommender.domain.experiments.running.assignment import live_weights
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.counts import RANDOMISED
from recommender.domain.models.arrays import Counts, Doubles

SHOWN_EPOCHS: Final = 60  # newest epochs in the time series; the totals hold all


def variant_rows(
    config: ExperimentConfig,
    found: Look,
    p: int,
    current: Snapshot,
    exposures: Counts,  # (T, K)
    clicks: Counts,  # (T, K)
    expected: Doubles,  # (K,)
) -> list[dict[str, Any]]:
    """Counts, estimate and traffic of each variant in placement `p`."""
    weights = current_weights(config, current, config.placements[p])
    is_shown = enough(config, clicks.sum(axis=0))
    lasting = [NO_LIFT, *lifts(found.posterior.mean[p], found.posterior.covariance[p])]
    present = [NO_LIFT, *lifts(found.present.mean[p], found.present.covariance[p])]
    return [
        {
            "variant": variant,
            **rate(int(exposures[:, k].sum()), int(clicks[:, k].sum())),
            "expected_exposures": round(float(expected[k]), 3),
            "weight": weights[k],
            **lift_json(lasting[k] if is_shown[k] else None),
            **lift_json(present[k] if is_shown[k] else None, name="present"),
            "probability_best": round(float(found.outlook.best[p, k]), 12),
            "expected_loss": round(float(found.outlook.expected_loss[p, k]), 12),
        }
        for k, variant in enumerate(config.variants)
    ]


def current_weights(config: ExperimentConfig, current: Snapshot, placement: str) -> tuple[float, ...]:
    """Shares of traffic with kill flags applied: they sum to 1, or are 0 where the experiment is not in force."""
    if placement not in current.weights.get(config.experiment_id, {}):
        return (0.0,) * len(config.variants)
    weights = live_weights(current, current.config(config.experiment_id) or config, placement)
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def epoch_rows(
    config: ExperimentConfig,
    placement: str,
    epochs: Sequence[int],
    exposures: Counts,  # (T, K)
    clicks: Counts,  # (T, K)
    snapshots: Mapping[int, Snapshot],
) -> list[dict[str, Any]]:
    """Exposures, clicks and weights of the newest epochs, parallel to the list of variants."""
    start = max(0, len(epochs) - SHOWN_EPOCHS)
    return [
        {
            "epoch": epochs[t],
            "exposures": exposures[t].tolist(),
            "clicks": clicks[t].tolist(),
            "weights": list(snapshots[epochs[t]].weights.get(config.experiment_id, {}).get(placement, ())),
        }
        for t in range(start, len(epochs))
    ]


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
        records = [by_epoch[snapshot.epoch] for snapshot in group if snapshot.epoch in by_epoch]
        counted = [row_of[snapshot.epoch] for snapshot in group if snapshot.epoch in row_of]
        last = group[-1]
        record = next((record for record in reversed(records) if record.get("look")), records[-1] if records else None)
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
                        **_stored_look(record, placement),
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


def _stored_look(record: Record | None, placement: str) -> Mapping[str, Any]:
    """Return a stored look's result for a placement; nulls where there was none."""
    entry = record["placements"].get(placement, {}) if record else {}
    names = ("probability_best", "expected_loss", "z")
    return {name: _rounded(entry[name]) if entry.get(name) is not None else None for name in names}


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def segment_estimates(config: ExperimentConfig, counts: StratifiedCounts) -> dict[str, Any]:
    """Compute the lift over the control in each segment, and their heterogeneity; empty without segments."""
    if counts.segments in ((), (RANDOMISED,)):
        return {"spread": [], "entries": []}
    table = counts.by_segment()
    exposures, clicks = table.exposures.sum(axis=3), table.clicks.sum(axis=3)  # (G, L, K)
    posterior = pool(evidence(exposures, clicks, design_effect=design_effect(table)))
    seen, clicked = exposures.sum(axis=1), clicks.sum(axis=1)  # (G, K)
    entries = []
    for g, segment in enumerate(counts.segments):
        estimates = [NO_LIFT, *lifts(posterior.mean[g], posterior.covariance[g])]
        is_shown = enough(config, clicked[g])
        variants = [
            {
                "variant": variant,
                **rate(int(seen[g, k]), int(clicked[g, k])),
                **lift_json(estimates[k] if is_shown[k] else None),
            }
            for k, variant in enumerate(config.variants)
        ]
        entries.append({"segment": segment, **rate(int(seen[g].sum()), int(clicked[g].sum())), "variants": variants})
    spread = [
        {"log_lift_sd": tau, "probability": weight}
        for tau, weight in zip(TAUS, rounded(posterior.tau_weights), strict=True)
    ]
    return {"spread": spread, "entries": entries}
