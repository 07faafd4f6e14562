"""The warehouse as the tasks open it: the embedded engine where WAREHOUSE_DATABASE is set, else Airflow's Snowflake.

Decisions: docs/decisions/schedule.md (178).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warehouse.connect import Warehouse


@contextmanager
def opened() -> Iterator[Warehouse]:
    """The warehouse, with every table and view that it should have.

    What a check stops is not tried again: the same rows would stop it, and people wait for the message.
    """
    from airflow.exceptions import AirflowFailException

    from warehouse.day.quality import QualityStop

    try:
        with _session() as warehouse:
            yield warehouse
    except QualityStop as error:
        raise AirflowFailException(error.detail) from error


@contextmanager
def _session() -> Iterator[Warehouse]:
    from warehouse.connect import Warehouse, open_local
    from warehouse.engine.schema import create_layers
    from warehouse.export.unload import CursorUnloader, SnowflakeUnloader

    if folder := os.environ.get("WAREHOUSE_DATABASE"):
        with open_local(Path(folder)) as warehouse:
            create_layers(warehouse.connection)
            yield warehouse
        return
    unloader = CursorUnloader if os.environ.get("WAREHOUSE_UNLOAD") == "cursor" else SnowflakeUnloader
    with closing(_connect()) as connection:
        create_layers(connection)
        yield Warehouse(connection, unloader(connection))


def _connect() -> Any:
    """A session of the connection `snowflake_default`; the provider's hook leaves out its extra `protocol`."""
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

    from warehouse.connect import SESSION

    hook = SnowflakeHook(session_parameters=dict(SESSION))
    protocol = hook.get_connection("snowflake_default").extra_dejson.get("protocol")
    if not protocol:
        return hook.get_conn()
    import snowflake.connector

    found = hook._get_conn_params  # a property in provider 6.8 and older, a method in newer ones
    return snowflake.connector.connect(**(found() if callable(found) else found), protocol=protocol)
