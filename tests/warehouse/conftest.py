"""A warehouse for each test: the layers are created once and the database file is copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.warehouse.shop import TODAY
from warehouse.engine import DATABASE_FILES, Warehouse, open_local
from warehouse.sources import generated
from warehouse.sources.history import History
from warehouse.statements import create_layers


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    with open_local(folder) as warehouse:
        create_layers(warehouse.connection)
    return folder / DATABASE_FILES[0]


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "database"
    folder.mkdir()
    shutil.copy(empty_database, folder)
    return folder


@pytest.fixture
def warehouse(database: Path) -> Iterator[Warehouse]:
    with open_local(database) as opened:
        yield opened


@pytest.fixture(scope="session")
def small_history() -> History:
    return generated.load(date.fromisoformat(TODAY), shop=generated.Shop(shoppers=30, items=60, days=12), seed=3)
