"""Shoppers in memory and on DynamoDB behave alike."""

from __future__ import annotations

import pytest
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.state import DynamoShoppers
from recommender.adapters.memory.sources import MemoryShoppers
from recommender.ports import ShopperStore

from tests.suites.shopper_store import Clock, ShopperStoreSuite


class TestMemory(ShopperStoreSuite):
    @pytest.fixture
    def store(self, clock: Clock) -> ShopperStore:
        return MemoryShoppers(clock=clock)


class TestDynamo(ShopperStoreSuite):
    @pytest.fixture
    def store(self, database: Database, clock: Clock) -> ShopperStore:
        return DynamoShoppers(database, "test-shoppers", clock=clock)
