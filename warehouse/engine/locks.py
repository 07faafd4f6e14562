"""A lease on a pipeline: one run at a time, whoever starts it and on which machine.

Taking it is one conditional update of a row that always exists, which every engine makes one after the
other. It is given back inside the transaction of the work: a run whose lease was taken over meanwhile
fails there and is rolled back, so two runs can overlap in time but never in effect.

Decisions: docs/decisions/warehouse.md (156).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from recommender.errors import Conflict, DependencyDown

from warehouse.engine.statements import changed, execute, transaction

if TYPE_CHECKING:
    from warehouse.engine.statements import Connection

LEASE = timedelta(hours=3)  # longer than any run is allowed to take; a dead one's retry need not wait for it


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a pipeline; `token` is this attempt's alone."""

    pipeline: str
    token: str


def take_lease(connection: Connection, pipeline: str, *, purpose: str, holder: str = "") -> Lease:
    """Take the lease where it is free, has run out, or is held by the same named holder's earlier attempt.

    Raises Conflict that names the holder.
    """
    lease = Lease(pipeline, f"{holder or 'run'}/{uuid4().hex}")
    taken = execute(
        connection,
        """
        update ops.leases
        set
            token = %(token)s,
            holder = %(holder)s,
            purpose = %(purpose)s,
            taken_at = sysdate(),
            expires_at = dateadd(second, %(seconds)s, sysdate())
        where
            pipeline = %(pipeline)s
            and (token is null or expires_at < sysdate() or (holder = %(holder)s and %(holder)s != ''))
        """,
        {
            "token": lease.token,
            "holder": holder,
            "purpose": purpose,
            "seconds": int(LEASE.total_seconds()),
            "pipeline": pipeline,
        },
        source=f"the lease of {pipeline}",
    )
    if not taken or not int(taken[0][0]):
        raise Conflict(_held(connection, pipeline, purpose), code="already_running")
    return lease


def end_lease(connection: Connection, lease: Lease) -> None:
    """Give the lease back. Raises Conflict where another run has taken it over: then nothing may be committed."""
    query = (
        "update ops.leases set token = null, holder = null, purpose = null, expires_at = null"
        " where pipeline = %(pipeline)s and token = %(token)s"
    )
    if not changed(execute(connection, query, {"pipeline": lease.pipeline, "token": lease.token})[:1]):
        raise Conflict(f"another run of {lease.pipeline} took over in the meantime; this one is undone")


@contextmanager
def leased(connection: Connection, pipeline: str, *, purpose: str, holder: str = "") -> Iterator[None]:
    """Hold the lease around a transaction: given back as its last statement, or after it was undone."""
    lease = take_lease(connection, pipeline, purpose=purpose, holder=holder)
    try:
        with transaction(connection):
            yield
            end_lease(connection, lease)
    except BaseException:
        with contextlib.suppress(DependencyDown, Conflict):
            end_lease(connection, lease)
        raise


def _held(connection: Connection, pipeline: str, purpose: str) -> str:
    query = "select purpose, holder, taken_at, expires_at from ops.leases where pipeline = %(pipeline)s"
    rows = execute(connection, query, {"pipeline": pipeline})
    if not rows:
        return f"pipeline {pipeline!r} has no lease; create the layers first"
    other, holder, taken_at, expires_at = rows[0]
    by = f" by {holder}" if holder else ""
    return (
        f"{purpose} cannot start: {other} is running{by} since {taken_at} UTC;"
        f" wait for it, or until {expires_at} UTC if it is dead"
    )
