"""A bundle's way in force and back over the administrative routes: draft, start, decide, promote, roll back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recommender.adapters.http import key_digest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.artifacts import CANDIDATE, CURRENT, Pointer
from recommender.contracts.placements import DEFAULT
from recommender.pointers import pointed

from tests.adapters.bundle_files import publish_tiny
from tests.fakes.sources import MemoryArtifacts
from tests.handlers.deployed import KEY, deployed, http_event

ARN = "arn:aws:iam::123456789012:user/ada"
POLICIES = {placement.placement_id: placement.policies for placement in DEFAULT}
BODY = {
    "experiment_id": "canary_1124",
    "mode": "canary",
    "placements": ["home_hero", "pdp_similar"],
    "variants": ["hybrid", "canary"],
}
BEFORE = "20261101T000000Z-0123456789ab"


class Edge:
    """The function over stores in memory; the tiny bundle is the candidate, an older one is in force."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.artifacts, self.store = MemoryArtifacts(), MemoryExperimentStore()
        self.bundle_id = publish_tiny(self.artifacts, folder)
        manifest = self.artifacts.objects[f"bundles/{self.bundle_id}/manifest.json"]
        self.artifacts.write(f"bundles/{BEFORE}/manifest.json", manifest)
        self.artifacts.write(CURRENT, Pointer(BEFORE).to_json())
        self.artifacts.write(CANDIDATE, Pointer(self.bundle_id).to_json())
        module = deployed("manage_experiments", monkeypatch)
        self._handler = module.create_handler(
            self.store, self.artifacts, placements=POLICIES, key_digests=key_digest(KEY)
        )

    def post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        event = http_event("POST", f"/v1/experiments{path}", key=None, caller=ARN, body=json.dumps(body))
        answer = self._handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    def act(self, action: str, **more: str) -> dict[str, Any]:
        status, body = self.post(f"/canary_1124/{action}", {"reason": "weekly model", **more})
        assert status == 200, body
        return body


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Edge:
    return Edge(monkeypatch, tmp_path)


def test_a_canary_pins_the_bundle_that_was_published_as_one_and_starts_small(edge: Edge) -> None:
    assert edge.post("", BODY)[0] == 201
    edge.act("start")
    edge.artifacts.write(CANDIDATE, Pointer("20261124T000000Z-0123456789ab").to_json())  # the next nightly run

    config, snapshot = edge.store.load_config("canary_1124"), edge.store.load_snapshot()

    assert config is not None and snapshot is not None
    assert config.bundle_id == edge.bundle_id
    assert snapshot.weights["canary_1124"]["home_hero"] == (0.95, 0.05)


def test_a_bundle_that_was_never_published_is_refused_by_name(edge: Edge) -> None:
    status, problem = edge.post("", {**BODY, "bundle_id": "20990101T000000Z-0123456789ab"})

    assert (status, problem["code"]) == (404, "unknown_bundle")
    assert edge.store.experiments() == []


def test_a_promotion_flips_the_pointer_and_a_roll_back_flips_it_back(edge: Edge) -> None:
    edge.post("", BODY)
    edge.act("start")
    assert pointed(edge.artifacts, CURRENT) == BEFORE

    edge.act("decide", variant="canary")
    assert pointed(edge.artifacts, CURRENT) == BEFORE
    edge.act("promote")
    edge.act("promote")
    assert pointed(edge.artifacts, CURRENT) == edge.bundle_id
    snapshot = edge.store.load_snapshot()
    assert snapshot is not None
    assert snapshot.defaults == {"home_hero": "hybrid", "pdp_similar": "hybrid"}

    edge.act("rollback")
    assert pointed(edge.artifacts, CURRENT) == BEFORE
