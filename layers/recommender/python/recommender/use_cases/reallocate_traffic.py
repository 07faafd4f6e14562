"""End an epoch: read the counters, compute the posterior, put the next weights in force.

The first run to store an epoch's posterior decides it, every other run acts on the stored one, and the
snapshot is swapped only from the epoch that was read: runs that are repeated, race each other or crash
anywhere all arrive at the same next epoch, once per scheduled moment. A lease saves a second run the work; nothing
depends on it.

Decisions: docs/decisions/experiments-operation.md (063, 131), docs/decisions/experiments-design.md (116).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from recommender.domain.experiments.evidence.analysis import conclusion, look, weights_of
from recommender.domain.experiments.evidence.canary import steered
from recommender.domain.experiments.evidence.checks import split_of
from recommender.domain.experiments.evidence.guardrails import (
    Guardrail,
    guardrail_to_json,
    guardrails,
    kills,
    variant_guardrails,
)
from recommender.domain.experiments.evidence.tally import tally
from recommender.domain.experiments.running.clock import clock_of
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.permitted import may_ship
from recommender.errors import Conflict, DependencyDown
from recommender.ports import ExperimentStore

JOB: Final = "reallocate_traffic"
LEASE_SECONDS: Final = 120  # as long as a run may take: after that its holder is dead


@dataclass(frozen=True, slots=True)
class Lease:
    """A run: its owner, by a name that a retry of the same run keeps, and its time."""

    holder: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Reallocation:
    """The snapshot in force afterwards (None where there is none), and whether this run put it there."""

    snapshot: Snapshot | None
    is_new: bool


def reallocate_traffic(*, at: datetime, store: ExperimentStore, lease: Lease | None = None) -> Reallocation:
    """Open the epoch of the scheduled moment `at`; changes nothing where it was opened already.

    Where somebody else holds the lease, the present snapshot is returned at once. No lease is taken where there is
    none to name: one process that is alone.
    """
    if lease is None:
        return _reallocate(at, store)
    if not store.take_lease(JOB, lease.holder, now=lease.now, seconds=LEASE_SECONDS):
        return Reallocation(store.load_snapshot(), False)
    try:
        return _reallocate(at, store)
    finally:
        with suppress(DependencyDown):  # it ends by itself
            store.end_lease(JOB, lease.holder)


def _reallocate(at: datetime, store: ExperimentStore) -> Reallocation:
    current = store.load_snapshot()
    if current is None:
        return Reallocation(None, False)
    if datetime.fromisoformat(current.created_at) >= at:
        if current.created_at == at.isoformat():  # a run that crashed after its swap has not written its audit entries
            _record(current, store.snapshots(first_epoch=current.epoch - 1)[0], store)
        return Reallocation(current, False)
    records = {
        config.experiment_id: _conclude(config, current, at, store)
        for config in current.configs
        if _runs(config, current)
    }
    follower = _follower(current, records, at)
    try:
        store.swap_snapshot(follower)
    except Conflict:
        return Reallocation(store.load_snapshot(), False)
    _record(follower, current, store)
    return Reallocation(follower, True)


def _runs(config: ExperimentConfig, snapshot: Snapshot) -> bool:
    return config.status == "running" and config.experiment_id not in snapshot.killed


def _conclude(config: ExperimentConfig, current: Snapshot, at: datetime, store: ExperimentStore) -> Mapping[str, Any]:
    """Evaluate an experiment at the end of the current epoch, unless an earlier run has stored the result."""
    stored = store.posterior(config.experiment_id, current.epoch)
    if stored is not None:
        return stored
    cells = [cell for cell in store.counts(config) if cell.epoch <= current.epoch]
    first = min((cell.epoch for cell in cells), default=current.epoch)
    snapshots = {past.epoch: past for past in store.snapshots(first_epoch=first)}
    started = {epoch: datetime.fromisoformat(past.created_at) for epoch, past in snapshots.items()}
    looked_at = _looked_at(config, snapshots, store)
    counts = tally(config, cells)
    split = split_of(config, counts, snapshots)
    found = look(
        config,
        cells,
        epoch=current.epoch,
        started=started,
        now=at,
        looked_at=looked_at,
        allowed={placement: may_ship(config, current, placement) for placement in config.placements},
        clock=clock_of(config, [snapshots[epoch] for epoch in sorted(snapshots)]),
        left_out=split.left_out,
        counts=counts,
    )
    waits = split.is_suspect or current.epoch in split.left_out
    if waits:
        found = replace(found, decision=None)  # nothing may be claimed now; the look waits for the next sound day
    decided = current.decided.get(config.experiment_id, {})
    record = conclusion(config, found, epoch=current.epoch, decided=decided)
    record |= {
        "at": at.isoformat(),
        "split": {"p_value": split.anytime_p_value, "suspect": split.is_suspect, "waits": waits},
    }
    if config.mode == "canary":
        weights = current.weights[config.experiment_id]
        record = dict(steered(record, config, cells, weights=weights))
    trade = store.shop_counts(first_day=started[first].astimezone(UTC).date().isoformat())
    watched = [*guardrails(config, trade), *variant_guardrails(config, cells)]
    return store.save_posterior(config.experiment_id, current.epoch, _guarded(config, record, watched))


def _looked_at(config: ExperimentConfig, snapshots: Mapping[int, Snapshot], store: ExperimentStore) -> datetime:
    """When the last look was whose weights came into force; else when the first epoch began.

    An epoch that a person opened has none, and a run that lost its race to one has looked in vain, as has one whose
    split was off: its look is due again.
    """
    for epoch in sorted(snapshots, reverse=True)[1:]:
        record = store.posterior(config.experiment_id, epoch)
        if record and record.get("split", {}).get("waits"):
            continue
        if record and "at" in record and snapshots[epoch + 1].weights.get(config.experiment_id) == weights_of(record):
            return datetime.fromisoformat(record["at"])
    return datetime.fromisoformat(snapshots[min(snapshots)].created_at)


def _guarded(config: ExperimentConfig, record: Mapping[str, Any], watched: Sequence[Guardrail]) -> dict[str, Any]:
    """Add the guardrails' findings to the record, and the kills that follow from them."""
    flags = sorted({*record["kills"], *kills(config, watched)})
    return {**record, "kills": flags, "guardrails": [guardrail_to_json(found) for found in watched]}


def _follower(current: Snapshot, records: Mapping[str, Mapping[str, Any]], at: datetime) -> Snapshot:
    """The next epoch: new weights, what was decided, what is killed."""
    decided = {name: record["decided"] for name, record in records.items() if record["decided"]}
    return replace(
        current,
        epoch=current.epoch + 1,
        created_at=at.isoformat(),
        weights={**current.weights, **{name: weights_of(record) for name, record in records.items()}},
        decided={**current.decided, **decided},
        killed=current.killed.union(*(record["kills"] for record in records.values())),
    )


def _record(snapshot: Snapshot, before: Snapshot, store: ExperimentStore) -> None:
    """The audit entries of a reallocation; writing them again replaces each by the same."""
    for config in before.configs:
        if not _runs(config, before):
            continue
        name, moment = config.experiment_id, snapshot.created_at
        facts = {"epoch": snapshot.epoch, "version": config.version}
        store.append_audit(name, moment, {"action": "reallocate", **facts})
        chosen = snapshot.decided.get(name, {}).items() - before.decided.get(name, {}).items()
        if chosen:
            entry = {
                "action": "decide",
                "actor": JOB,
                "reason": f"rule {config.design.rule}",
                "decided": dict(sorted(chosen)),
            }
            store.append_audit(name, f"{moment}|decide", {**entry, **facts})
        flags = sorted(flag for flag in snapshot.killed - before.killed if flag.partition("/")[0] == name)
        if flags:
            reason = _reason(store.posterior(name, before.epoch) or {}, config)
            store.append_audit(
                name, f"{moment}|kill", {"action": "kill", "actor": JOB, "reason": reason, "killed": flags, **facts}
            )


def _reason(record: Mapping[str, Any], config: ExperimentConfig) -> str:
    """Name the cause of a kill: the guardrails that were breached, else the clicks."""
    sentences = [found["sentence"] for found in record.get("guardrails", ()) if found["kills"]]
    return " ".join(sentences) or f"It probably loses more than {config.loss_limit:.0%} of the clicks."
