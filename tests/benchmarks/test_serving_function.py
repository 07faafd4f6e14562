"""The whole function is timed on real bundles, by requests that it answers in full, against a fixed yardstick."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recommender.adapters.bundle import load_bundle
from recommender.adapters.bundle_files import current_bundle_id
from recommender.adapters.dynamodb.client import Database
from recommender.adapters.dynamodb.sessions import DynamoSessions
from recommender.adapters.dynamodb.state import DynamoShoppers
from recommender.adapters.folder import FolderArtifacts
from recommender.contracts.placements import DEFAULT
from recommender.errors import ArtifactRefused, Conflict

from benchmarks.serving.function import MODULE, SESSIONS, SHOPPERS, StoredItems, serving_handler, unheard
from benchmarks.serving.requests import MIX, PageRequest, page_requests
from benchmarks.serving.synthetic import publish_synthetic
from benchmarks.serving.synthetic_shop import draw_exports
from benchmarks.serving.whole import ROUNDS, Spent, checked, figures
from tests.adapters.bundle_files import publish_tiny
from tests.training.tiny_bert import tiny_text_model

ITEMS = 500


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> FolderArtifacts:
    return publish_synthetic(tmp_path_factory.mktemp("synthetic"), ITEMS, tiny_text_model())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> FolderArtifacts:
    store = FolderArtifacts(tmp_path_factory.mktemp("tiny"))
    publish_tiny(store, tmp_path_factory.mktemp("files"))
    return store


def answered(store: FolderArtifacts, cache: Path) -> list[tuple[PageRequest, dict[str, Any]]]:
    """Each request of the mix with what the function answers to it."""
    stored, now = Database(StoredItems()), datetime.now(UTC)
    handler, bundle = serving_handler(store, cache, stored)
    found = []
    for request in page_requests(bundle, 1, np.random.default_rng(3), now=now):
        request.store(DynamoSessions(stored, SESSIONS), DynamoShoppers(stored, SHOPPERS), now=now)
        with unheard():
            found.append((request, handler(request.event, None)))
    return found


@pytest.mark.slow
def test_a_synthetic_bundle_passes_the_loaders_checks_and_fills_every_placement(
    synthetic: FolderArtifacts, tmp_path: Path
) -> None:
    reports: list[str] = []

    bundle = load_bundle(synthetic, current_bundle_id(synthetic), tmp_path, report=reports.append)
    answers = [checked(request, response) for request, response in answered(synthetic, tmp_path)]

    filled = {entry["placement"] for answer in answers for entry in answer["placements"] if entry["items"]}
    assert (bundle.count_items, reports) == (ITEMS, [])
    assert filled == {placement.placement_id for placement in DEFAULT}
    assert {answer["model_version"] for answer in answers} == {bundle.bundle_id}


@pytest.mark.slow
def test_a_file_of_the_synthetic_bundle_that_was_changed_is_refused_as_any_other_is(
    synthetic: FolderArtifacts, tmp_path: Path
) -> None:
    bundle_id = current_bundle_id(synthetic)
    damaged = FolderArtifacts(tmp_path / "damaged")
    for path in synthetic.root.rglob("*.*"):
        if path.is_file():
            damaged.write(path.relative_to(synthetic.root).as_posix(), path.read_bytes())
    damaged.write(f"bundles/{bundle_id}/ranker.onnx", b"no model")

    with pytest.raises(ArtifactRefused, match=r"ranker\.onnx"):
        serving_handler(damaged, tmp_path / "cache", Database(StoredItems()))


def test_every_kind_of_visitor_on_every_page_is_answered_with_what_is_stored_of_them(
    tiny: FolderArtifacts, tmp_path: Path
) -> None:
    answers = [(request, checked(request, response)) for request, response in answered(tiny, tmp_path)]

    levels = {(request.kind, answer["personalization_level"]) for request, answer in answers}
    assert {(request.kind, request.page) for request, _ in answers} == set(MIX)
    assert levels >= {("stranger", "prior"), ("visit", "session"), ("known", "user"), ("known_visit", "user")}


def test_an_answer_that_leaves_something_out_is_not_timed(tiny: FolderArtifacts, tmp_path: Path) -> None:
    request, response = next(pair for pair in answered(tiny, tmp_path) if pair[0].kind == "visit")
    body = json.loads(response["body"])
    hollow = [{**entry, "items": []} for entry in body["placements"]]

    def told(status: int = 200, **changes: Any) -> str:
        with pytest.raises(Conflict) as refusal:
            checked(request, {"statusCode": status, "body": json.dumps({**body, **changes})})
        return refusal.value.detail

    assert "status 503" in told(503)
    assert "state_unavailable" in told(degraded=True, degraded_reason="state_unavailable")
    assert "level prior, expected session" in told(personalization_level="prior")
    assert "home_hero is empty" in told(placements=hollow)


def test_a_request_without_the_key_is_refused_by_the_function_that_is_timed(
    tiny: FolderArtifacts, tmp_path: Path
) -> None:
    handler, bundle = serving_handler(tiny, tmp_path, Database(StoredItems()))
    request = next(page_requests(bundle, 1, np.random.default_rng(3), now=datetime.now(UTC)))

    with unheard():
        response = handler({**request.event, "headers": {}}, None)

    assert response["statusCode"] == 401


def test_the_process_keeps_its_environment_and_whoever_imports_the_function_their_own_copy(
    tiny: FolderArtifacts, tmp_path: Path
) -> None:
    environment, imported = dict(os.environ), sys.modules.get(MODULE)

    serving_handler(tiny, tmp_path, Database(StoredItems()))

    assert dict(os.environ) == environment
    assert sys.modules.get(MODULE) is imported


def test_a_machine_that_is_slow_for_a_round_changes_no_ratio() -> None:
    rng = np.random.default_rng(2)
    slow = np.where(np.arange(ROUNDS) % 2, 5.0, 1.0)[:, None]
    use_case = rng.uniform(0.008, 0.012, (ROUNDS, 24)) * slow
    yardstick = np.full((ROUNDS, 24), 0.002) * slow
    handler = use_case * 1.25

    found = figures(Spent(handler, use_case, yardstick, np.full((ROUNDS, 24), 9_000), np.full((ROUNDS, 24), 12)))

    assert found["handler"]["over_use_case"] == {"value": 1.25, "low": 1.25, "high": 1.25}
    assert 4.0 < found["handler"]["over_numpy"]["low"] < found["handler"]["over_numpy"]["high"] < 8.5
    assert found["answer_bytes"] == 9_000


def test_the_same_seed_draws_the_same_shop_and_another_one_another() -> None:
    first, again, other = (draw_exports(ITEMS, seed=seed) for seed in (1, 1, 2))

    assert first.purchases.equals(again.purchases) and first.session_events.equals(again.session_events)
    assert not first.purchases.equals(other.purchases)
    assert first.session_events["event_time"].is_sorted()
    assert first.purchases["purchased_at"].max() < first.data_until
