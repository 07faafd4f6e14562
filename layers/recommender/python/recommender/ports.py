"""The ports of the use cases. Each port has one behavioural test suite, run over every adapter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from recommender.contracts.events import Accepted
from recommender.domain.experiments.running.config import ExperimentConfig, Snapshot
from recommender.domain.experiments.running.counts import CellCount
from recommender.domain.experiments.running.shop_counts import ShopCount
from recommender.domain.serving.standby import Standby
from recommender.domain.serving.visit import Session, Shopper

if TYPE_CHECKING:  # numpy stays out of functions that need no models
    from recommender.domain.models.bundle import Bundle


@dataclass(frozen=True, slots=True)
class SessionState:
    """A stored session with what makes acceptance exactly once."""

    session: Session
    version: int = 0  # 0: not stored yet
    seen: frozenset[bytes] = frozenset()  # 8-byte digests of the newest accepted event ids
    credited: frozenset[bytes] = frozenset()  # 8-byte digests of orders (domain/serving/credit.py)
    lists: Mapping[bytes, int] = field(default_factory=dict)  # 8-byte digest of a list -> what of it is credited
    seen_before: frozenset[bytes] = frozenset()  # the ids before the newest


class SessionStore(Protocol):
    """Sessions; `accept` is the only write and is conditional on the version that was read."""

    def load(self, session_id: str, *, now: datetime) -> SessionState:
        """The state of a session; an empty one of version 0 where there is none or it has expired."""

    def accept(self, state: SessionState, accepted: Sequence[Accepted], *, now: datetime) -> None:
        """Store `state` as the successor of version `state.version - 1`, with `accepted` as its outbox.

        Raises Conflict where another writer was first, and TooLarge where the store does not take so much in one
        write; then nothing is stored.
        """


class ShopperStore(Protocol):
    """Shoppers by id."""

    def load(self, shopper_id: str) -> Shopper | None:
        """The shopper, or None."""

    def save(self, shoppers: Sequence[Shopper]) -> None:
        """Store these shoppers, replacing older versions."""


class StateReader(Protocol):
    """The one read of the serving path: session and shopper in a single round trip."""

    def read(self, *, session_id: str, shopper_ids: Sequence[str], now: datetime) -> tuple[Session, Shopper | None]:
        """The session (empty where unknown) and the first of `shopper_ids` that is known. Raises DependencyDown."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes and the etag that a conditional write needs."""

    content: bytes
    etag: str


class ArtifactStore(Protocol):
    """Immutable files by key, and one pointer that is flipped conditionally."""

    def read(self, key: str) -> StoredObject:
        """The object. Raises NotFound."""

    def write(self, key: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Store and return the etag. Raises Conflict where the condition does not hold."""


class BundleSource(Protocol):
    """The bundle in force, cached in process; keeps the last good one when a new one is refused."""

    def current(self) -> Bundle:
        """The newest bundle that passed its checks. Raises DependencyDown when there is none at all."""


class StandbySource(Protocol):
    """The lists that serve while no bundle can be loaded."""

    def current(self) -> Standby:
        """The lists. Raises DependencyDown where there are none."""


class CanarySource(Protocol):
    """The bundle of the canary in force, held beside the one of a BundleSource for as long as it is needed."""

    def current(self, bundle_id: str) -> Bundle:
        """This bundle. Never waits: raises DependencyDown while it is being loaded, and where it was refused."""

    def release(self) -> None:
        """Let go of the bundle: no canary is in force."""


class SnapshotSource(Protocol):
    """The snapshot, cached in process (stale while revalidating)."""

    def current(self) -> Snapshot | None:
        """The snapshot in force, one without configurations where no experiment runs; None where none was ever read."""


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """A consumer's position in a stream shard. `pending` was read up to here and is still to be added."""

    sequence: str = ""  # of the last record, "" before the first
    pending: tuple[CellCount | ShopCount, ...] = ()


class ExperimentStore(Protocol):
    """Configurations, snapshots, counters, posteriors and the audit trail."""

    def load_config(self, experiment_id: str) -> ExperimentConfig | None:
        """The current version."""

    def experiments(self) -> list[ExperimentConfig]:
        """The current version of every experiment, in order of their ids."""

    def save_config(self, config: ExperimentConfig) -> None:
        """Store a new version and point to it. Raises Conflict where that version exists."""

    def load_snapshot(self) -> Snapshot | None:
        """The snapshot in force."""

    def swap_snapshot(self, snapshot: Snapshot) -> None:
        """Put `snapshot` in force if the current epoch is `snapshot.epoch - 1` (or none). Raises Conflict."""

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

    def snapshots(self, *, first_epoch: int) -> list[Snapshot]:
        """Every snapshot since `first_epoch`, in order of epoch."""

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
        """Add the cells, note the `orders` as counted and move the position to `upto` in one transaction.

        Raises Conflict where the position is not `after` or one of the orders was counted; then nothing was added.
        """

    def counted_orders(self, orders: Sequence[str]) -> frozenset[str]:
        """Those of these keys of contracts/tables.py that are noted as counted."""

    def stream_position(self, *, consumer: str, shard_id: str) -> StreamPosition:
        """Return the shard's position; the empty one where it is not begun."""

    def counts(self, config: ExperimentConfig) -> list[CellCount]:
        """All cells of an experiment, each shard of a cell apart."""

    def shop_counts(self, *, first_day: str) -> list[ShopCount]:
        """Sessions, orders and their worth since this day (YYYY-MM-DD), in order of day, group and bucket."""

    def save_posterior(self, experiment_id: str, epoch: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store what ended an epoch unless another run did so first; returns the one that is stored."""

    def posterior(self, experiment_id: str, epoch: int) -> Mapping[str, Any] | None:
        """Return the record that ended this epoch, or None where it is open."""

    def posteriors(self, experiment_id: str) -> list[Mapping[str, Any]]:
        """All posteriors in order of epoch."""

    def take_lease(self, name: str, holder: str, *, now: datetime, seconds: int) -> bool:
        """True where nobody else holds the lease at `now`; it is then held by `holder` for so long."""

    def end_lease(self, name: str, holder: str) -> None:
        """Give the lease back; nothing happens where another one holds it by now."""

    def append_audit(self, experiment_id: str, moment: str, entry: Mapping[str, Any]) -> None:
        """Add to the audit trail; the same moment again replaces the entry."""

    def audit_trail(self, experiment_id: str) -> list[Mapping[str, Any]]:
        """All entries in order of their moments, each with its moment as `at`."""


class MarginSource(Protocol):
    """A source of margins."""

    def margin_shares(self, item_ids: Iterable[str]) -> Mapping[str, float]:
        """Margin as a share of the price, of those items for which it is known."""


class EventSink(Protocol):
    """The landing of raw events."""

    def deliver(self, batch_id: str, records: Sequence[Mapping[str, Any]], *, accepted_at: datetime) -> None:
        """Store a batch of outbox records; the same batch again replaces it by the same content."""


class CatalogOverrides(Protocol):
    """Price, availability and deletions since the bundle."""

    def current(self) -> Mapping[str, Mapping[str, Any]]:
        """item id -> {availability, price_cents, deleted}; cached for a few seconds."""
