"""A warehouse for each test: the layers are created once and the database file is copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.warehouse.healthy import run_healthy_weeks
from tests.warehouse.shop import TODAY, Shop
from warehouse.connect import DATABASE_FILES, Warehouse, open_local
from warehouse.engine.schema import create_layers
from warehouse.sources import generated
from warehouse.sources.history import History


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    with open_local(folder) as warehouse:
        create_layers(warehouse.connection)
    return folder / DATABASE_FILES[0]


@pytest.fixture(scope="session")
def healthy_database(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse in which every check passes `healthy.DAY`."""
    folder = tmp_path_factory.mktemp("healthy")
    shutil.copy(empty_database, folder)
    with open_local(folder) as opened:
        assert run_healthy_weeks(Shop(opened, folder / "landed")).warnings == ()
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
