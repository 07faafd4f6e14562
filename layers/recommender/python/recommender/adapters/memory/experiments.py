"""Experiments in memory: the reference behaviour of the ExperimentStore port, for tests and simulations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.counts import CellCount, merged
from recommender.domain.experiments.running.shop_counts import ShopCount
from recommender.errors import Conflict
from recommender.ports import StreamPosition


class MemoryExperimentStore:
    """An ExperimentStore whose every method is one atomic step of a single thread."""

    def __init__(self) -> None:
        self._configs: dict[str, dict[int, ExperimentConfig]] = {}
        self._snapshots: dict[int, Snapshot] = {}
        self._cells: list[CellCount] = []
        self._shop: list[ShopCount] = []
        self._orders: set[str] = set()  # never forgotten here
        self._leases: dict[str, tuple[str, datetime]] = {}
        self._positions: dict[tuple[str, str], StreamPosition] = {}
        self._posteriors: dict[tuple[str, int], str] = {}
        self.audit: dict[tuple[str, str], Mapping[str, Any]] = {}

    def load_config(self, experiment_id: str) -> ExperimentConfig | None:
        """The current version."""
        versions = self._configs.get(experiment_id)
        return versions[max(versions)] if versions else None

    def experiments(self) -> list[ExperimentConfig]:
        """The current version of every experiment, in order of their ids."""
        return [versions[max(versions)] for _, versions in sorted(self._configs.items())]

    def save_config(self, config: ExperimentConfig) -> None:
        """Store a new version and point to it. Raises Conflict where that version exists."""
        versions = self._configs.setdefault(config.experiment_id, {})
        if config.version <= max(versions, default=0):
            raise Conflict(f"experiment {config.experiment_id} already has version {max(versions)}")
        versions[config.version] = config

    def load_snapshot(self) -> Snapshot | None:
        """The snapshot in force."""
        return self._snapshots[max(self._snapshots)] if self._snapshots else None

    def swap_snapshot(self, snapshot: Snapshot) -> None:
        """Put `snapshot` in force if the current epoch is `snapshot.epoch - 1` (or none). Raises Conflict."""
        if self._snapshots and max(self._snapshots) != snapshot.epoch - 1:
            raise Conflict(f"epoch {snapshot.epoch} cannot follow epoch {max(self._snapshots)}")
        self._snapshots[snapshot.epoch] = snapshot

    def transition(
        self,
        *,
        config: ExperimentConfig | None,
        snapshot: Snapshot | None,
        experiment_id: str,
        moment: str,
        entry: Mapping[str, Any],
    ) -> None:
        """Store a version, put a snapshot in force and add the audit entry: all of it or, raising Conflict, nothing."""
        before = dict(self._configs.get(experiment_id, {}))
        if config is not None:
            self.save_config(config)
        try:
            if snapshot is not None:
                self.swap_snapshot(snapshot)
        except Conflict:
            self._configs[experiment_id] = before
            raise
        self.append_audit(experiment_id, moment, entry)

    def snapshots(self, *, first_epoch: int) -> list[Snapshot]:
        """Every snapshot since `first_epoch`, in order of epoch."""
        return [self._snapshots[epoch] for epoch in sorted(self._snapshots) if epoch >= first_epoch]

    def add_counts(
        self,
        cells: Sequence[CellCount | ShopCount],
        *,
        consumer: str,
        shard_id: str,
        after: StreamPosition,
        upto: StreamPosition,
        orders: Sequence[str] = (),
    ) -> None:
        """Add the cells, note the orders and move the stream position from `after` to `upto` in one step."""
        found = self.stream_position(consumer=consumer, shard_id=shard_id)
        if found != after:
            raise Conflict(f"{consumer} stands at {found.sequence!r} of {shard_id}, expected {after.sequence!r}")
        if self._orders & set(orders):
            raise Conflict("an order was counted by another one meanwhile")
        self._orders |= set(orders)
        self._cells = merged([*self._cells, *(cell for cell in cells if isinstance(cell, CellCount))])
        self._shop = merged([*self._shop, *(cell for cell in cells if isinstance(cell, ShopCount))])
        self._positions[consumer, shard_id] = upto

    def counted_orders(self, orders: Sequence[str]) -> frozenset[str]:
        """Those that are noted as counted."""
        return frozenset(self._orders.intersection(orders))

    def stream_position(self, *, consumer: str, shard_id: str) -> StreamPosition:
        """Return the shard's position; the empty one where it is not begun."""
        return self._positions.get((consumer, shard_id), StreamPosition())

    def counts(self, config: ExperimentConfig) -> list[CellCount]:
        """All cells of an experiment, each shard of a cell apart."""
        return [cell for cell in self._cells if cell.experiment_id == config.experiment_id]

    def shop_counts(self, *, first_day: str) -> list[ShopCount]:
        """Sessions, orders and their worth since this day, in order of day, group and bucket."""
        return [count for count in self._shop if count.day >= first_day]

    def save_posterior(self, experiment_id: str, epoch: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store what ended an epoch unless another run did so first; returns the one that is stored."""
        stored = self._posteriors.setdefault((experiment_id, epoch), json.dumps(body))
        result: Mapping[str, Any] = json.loads(stored)
        return result

    def posterior(self, experiment_id: str, epoch: int) -> Mapping[str, Any] | None:
        """Return the record that ended this epoch, or None where it is open."""
        stored = self._posteriors.get((experiment_id, epoch))
        return json.loads(stored) if stored else None

    def posteriors(self, experiment_id: str) -> list[Mapping[str, Any]]:
        """All posteriors in order of epoch."""
        return [json.loads(body) for (name, _), body in sorted(self._posteriors.items()) if name == experiment_id]

    def take_lease(self, name: str, holder: str, *, now: datetime, seconds: int) -> bool:
        """True where nobody else holds the lease at `now`; it is then held by `holder` for so long."""
        held_by, until = self._leases.get(name, (holder, now))
        if held_by != holder and now < until:
            return False
        self._leases[name] = (holder, now + timedelta(seconds=seconds))
        return True

    def end_lease(self, name: str, holder: str) -> None:
        """Give the lease back; nothing happens where another one holds it by now."""
        if self._leases.get(name, ("",))[0] == holder:
            del self._leases[name]

    def append_audit(self, experiment_id: str, moment: str, entry: Mapping[str, Any]) -> None:
        """Add to the audit trail; the same moment again replaces the entry."""
        self.audit[experiment_id, moment] = entry

    def audit_trail(self, experiment_id: str) -> list[Mapping[str, Any]]:
        """All entries in order of their moments, each with its moment as `at`."""
        entries = sorted(
            ((key[1], entry) for key, entry in self.audit.items() if key[0] == experiment_id), key=itemgetter(0)
        )
        return [{"at": moment.partition("|")[0], **entry} for moment, entry in entries]
