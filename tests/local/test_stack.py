"""The whole stack over the tiny bundle: every acceptance check that needs no training, over real HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from recommender.adapters.folder import FolderArtifacts
from recommender.domain.serving.visit import PurchaseHistory, Shopper

from local.check.run import acceptance, nothing_is_left, run_checks
from local.settings import RunSettings, StateFolder, load_or_make
from local.stack import Stack
from local.web import WebServer
from tests.adapters.bundle_files import publish_tiny
from tests.tiny_bundle import tiny_bundle

TRAINED_ONLY = {"onnx_agrees_with_pytorch"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = StateFolder(tmp_path_factory.mktemp("state"))
    keep_models(state)
    settings = RunSettings(state, port=0, period_seconds=3600.0)
    server = WebServer(0)
    stack = Stack(settings, load_or_make(state.keys), server, environment=os.environ, progress=print)
    yield stack
    stack.stop()
    server.close()


def keep_models(state: StateFolder) -> None:
    """What a main job would have left."""
    publish_tiny(FolderArtifacts(state.artifacts), state.root / "files")
    item_ids = tuple(bytes(item_id).decode() for item_id in tiny_bundle().item_ids[:3])
    history = PurchaseHistory(item_ids, (1, 2, 1), (20_000.0,) * 3, (19_000.0,) * 3, 4)
    folder = state.model("session_ranker")
    folder.mkdir(parents=True)
    (folder / "shoppers.jsonl").write_text(json.dumps(asdict(Shopper("household", history, cohort=2))) + "\n")


@pytest.mark.slow
def test_every_check_holds_and_the_stop_leaves_nothing(stack: Stack) -> None:
    checks = {name: check for name, check in acceptance(stack).items() if name not in TRAINED_ONLY}

    results = run_checks(checks, progress=print)
    ports, children = (stack.server.port, stack.engine.port), stack.process_ids()
    stack.stop()
    stack.server.close()

    assert {name: result["detail"] for name, result in results.items() if not result["ok"]} == {}
    assert nothing_is_left(ports, children)
