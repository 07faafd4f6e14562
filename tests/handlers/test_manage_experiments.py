"""The administrative routes of experiments: a whole life over HTTP, every refusal by field, and who did it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from recommender.adapters.http import Handler, key_digest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.experiments import DesignRequest
from recommender.contracts.placements import DEFAULT
from recommender.domain.experiments.running.design import Design

from tests.fakes.sources import MemoryArtifacts
from tests.handlers.deployed import KEY, deployed, http_event

ARN = "arn:aws:iam::123456789012:user/ada"
POLICIES = {placement.placement_id: placement.policies for placement in DEFAULT}
BODY: Mapping[str, Any] = {
    "experiment_id": "exp_hero",
    "placements": ["home_hero", "pdp_similar"],
    "variants": ["cohorts", "hybrid"],
    "expected_daily_exposures": 50_000,
    "expected_click_rate": 0.02,
    "design": {"looks": "week", "standardised": False, "maturation_days": 2},
}


@dataclass
class Edge:
    handler: Handler
    store: MemoryExperimentStore

    def post(self, path: str, body: object = None, **parts: Any) -> tuple[int, dict[str, Any]]:
        return self.call("POST", path, body=None if body is None else json.dumps(body), **parts)

    def call(self, method: str, path: str, **parts: Any) -> tuple[int, dict[str, Any]]:
        answer = self.handler(http_event(method, f"/v1/experiments{path}", key=None, caller=ARN, **parts), None)
        return answer["statusCode"], json.loads(answer["body"])

    def running(self, **changes: Any) -> None:
        body = {**BODY, **changes}
        assert self.post("", body)[0] == 201
        assert self.post(f"/{body['experiment_id']}/start")[0] == 200


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Edge:
    store = MemoryExperimentStore()
    module = deployed("manage_experiments", monkeypatch)
    handler = module.create_handler(store, MemoryArtifacts(), placements=POLICIES, key_digests=key_digest(KEY))
    return Edge(handler, store)


def test_a_draft_is_stored_and_forecast(edge: Edge) -> None:
    status, body = edge.post("", BODY)

    assert (status, body["changed"]) == (201, True)
    experiment = body["experiment"]
    assert (experiment["status"], experiment["version"], experiment["in_force"]) == ("draft", 1, False)
    assert experiment["look_days"] == [9, 16, 23, 28]
    assert body["forecast"]["traffic"] == {
        "source": "given",
        "measured_days": None,
        "daily_exposures": 100_000.0,
        "click_rate": 0.02,
        "design_effect": 1.0,
    }
    assert set(body["forecast"]["expected_days"]) == {"+5 %", "+7.5 %", "+10 %"}
    assert body["forecast"]["verdict"] in ("enough", "large_lifts_only", "too_small")


def test_the_same_draft_again_changes_nothing_and_another_is_its_next_version(edge: Edge) -> None:
    edge.post("", BODY)

    again = edge.post("", BODY)
    other = edge.post("", {**BODY, "floor_share": 0.05})

    assert (again[0], again[1]["changed"], again[1]["experiment"]["version"]) == (200, False, 1)
    assert (other[0], other[1]["changed"], other[1]["experiment"]["version"]) == (201, True, 2)


def test_a_dry_run_answers_and_stores_nothing(edge: Edge) -> None:
    status, body = edge.post("", {**BODY, "dry_run": True})

    assert (status, body["changed"], body["experiment"]["experiment_id"]) == (200, False, "exp_hero")
    assert edge.store.experiments() == []


def test_a_whole_life_is_in_the_audit_trail_with_who_and_why(edge: Edge) -> None:
    edge.post("", BODY)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("start", {"reason": "week 48"}),
        ("pause", {"reason": "stock broken"}),
        ("resume", {}),
        ("kill", {"placement": "pdp_similar"}),
        ("decide", {"variant": "hybrid", "reason": "boundary crossed"}),
        ("promote", {}),
        ("rollback", {"reason": "complaints"}),
    ]
    for action, body in steps:
        status, answer = edge.post(f"/exp_hero/{action}", body)
        assert (status, answer["changed"]) == (200, True), action

    status, trail = edge.call("GET", "/exp_hero/audit")
    assert status == 200
    assert [entry["action"] for entry in trail["entries"]] == ["create", *(action for action, _ in steps)]
    assert {entry["actor"] for entry in trail["entries"]} == {ARN}
    assert trail["entries"][1]["reason"] == "week 48"
    assert [entry["epoch"] for entry in trail["entries"]] == list(range(8))
    assert [entry["version"] for entry in trail["entries"]] == [1, 2, 3, 4, 4, 5, 6, 7]


def test_a_repeated_action_answers_the_same_and_leaves_no_entry(edge: Edge) -> None:
    edge.running()

    status, body = edge.post("/exp_hero/start")

    assert (status, body["changed"], body["experiment"]["status"]) == (200, False, "running")
    assert len(edge.store.audit_trail("exp_hero")) == 2


def test_experiments_are_listed_with_what_is_in_force(edge: Edge) -> None:
    edge.running()
    edge.post("", {**BODY, "experiment_id": "exp_later"})
    edge.post("/exp_hero/kill", {"placement": "home_hero"})

    status, body = edge.call("GET", "")

    assert (status, body["epoch"], body["defaults"]) == (200, 2, {})
    assert [(one["experiment_id"], one["in_force"], one["killed"]) for one in body["experiments"]] == [
        ("exp_hero", True, ["home_hero"]),
        ("exp_later", False, []),
    ]


@pytest.mark.parametrize(
    ("changes", "pointer", "code", "expected"),
    [
        ({"placements": ["home_heroo"]}, "/placements/0", "unknown_placement", "did you mean 'home_hero'?"),
        ({"variants": ["cohorts", "hybird"]}, "/variants/1", "unknown_variant", "did you mean 'hybrid'?"),
        ({"variants": ["cohorts"]}, "/variants", "invalid_argument", "2 to 8 different names"),
        ({"variants": ["cohorts", "cohorts"]}, "/variants", "invalid_argument", "2 to 8 different names"),
        ({"placements": ["home_hero", "home_hero"]}, "/placements", "invalid_argument", "each once"),
        ({"placements": []}, "/placements", "invalid_argument", "at least one placement"),
        ({"weights": [0.5, 0.4]}, "/weights/home_hero", "invalid_argument", "weights that sum to 1; these sum to 0.9"),
        ({"weights": [0.5, 0.3, 0.2]}, "/weights/home_hero", "invalid_argument", "2 weights"),
        ({"weights": [1.0, 0.0]}, "/weights/home_hero", "invalid_argument", "no weight below the floor_share of 0.02"),
        ({"weights": {"home_hero": [0.5, 0.5]}}, "/weights/pdp_similar", "invalid_argument", "a value for each of"),
        ({"weights": [0.5, "0.5"]}, "/weights/home_hero/1", "invalid_argument", "a number from 0 to 1"),
        ({"experiment_id": "a/b"}, "/experiment_id", "invalid_argument", "letters, digits"),
        ({"experiment_id": None}, "/experiment_id", "invalid_argument", "a non-empty string"),
        ({"floor_share": 0.5}, "/floor_share", "invalid_argument", "below 1/2"),
        ({"holdout_share": float("nan")}, "/holdout_share", "invalid_argument", "a number from 0 to 1"),
        ({"design": {"rule": "win"}}, "/design/rule", "invalid_argument", "one of claim, optimise"),
        ({"design": {"max_days": 3}}, "/design/max_days", "invalid_argument", "first look of this design"),
        ({"design": {"max_days": "28"}}, "/design/max_days", "invalid_argument", "an integer from 0 to 366"),
        ({"design": {"peek": True}}, "/design/peek", "unknown_field", "one of"),
        ({"weight": [0.5, 0.5]}, "/weight", "unknown_field", "one of"),
        ({"expected_click_rate": 1.8}, "/expected_click_rate", "invalid_argument", "to 1"),
        ({"expected_daily_exposures": {"home_hero": 10}}, "/expected_daily_exposures/pdp_similar", None, "a value for"),
        ({"mode": "canary"}, None, "no_canary_bundle", None),
        ({"mode": "canary", "bundle_id": "b1"}, "/variants", "invalid_argument", "a policy, then 'canary'"),
    ],
)
def test_a_wrong_draft_is_refused_by_the_field_that_is_wrong(
    edge: Edge, changes: dict[str, Any], pointer: str | None, code: str | None, expected: str | None
) -> None:
    status, problem = edge.post("", {**BODY, **changes})

    assert status == (400 if pointer else 404)
    if code:
        assert problem["code"] == code
    if pointer:
        assert problem["errors"][0]["pointer"] == pointer
        assert expected in problem["errors"][0]["expected"]
    assert edge.store.experiments() == []


def test_every_unknown_name_is_named_at_once(edge: Edge) -> None:
    _, problem = edge.post("", {**BODY, "placements": ["home_heroo", "pdp_similars"], "variants": ["cohorts", "x"]})

    assert [error["pointer"] for error in problem["errors"]] == ["/placements/0", "/placements/1"]


def test_an_experiment_that_overlaps_a_running_one_cannot_start_and_says_so_when_drafted(edge: Edge) -> None:
    edge.running()

    _, drafted = edge.post("", {**BODY, "experiment_id": "exp_two", "placements": ["cart_cross_sell", "home_hero"]})
    status, problem = edge.post("/exp_two/start")

    overlap = next(one for one in drafted["problems"] if one["code"] == "overlapping_experiments")
    assert (overlap["pointer"], overlap["value"]) == ("/placements/1", "'home_hero'")
    assert "'exp_hero'" in overlap["expected"]
    assert (status, problem["code"]) == (409, "overlapping_experiments")
    assert all(name in problem["detail"] for name in ("'exp_two'", "'exp_hero'", "'home_hero'"))


def test_a_killed_experiment_makes_room_and_its_control_stays_where_it_served(edge: Edge) -> None:
    edge.running()
    edge.post("/exp_hero/kill")
    edge.post("", {**BODY, "experiment_id": "exp_two", "placements": ["home_hero"]})

    status, _ = edge.post("/exp_two/start")

    assert status == 200
    _, listed = edge.call("GET", "")
    assert listed["defaults"] == {"home_hero": "cohorts", "pdp_similar": "cohorts"}
    assert [one["in_force"] for one in listed["experiments"]] == [False, True]


def test_a_running_configuration_is_not_edited(edge: Edge) -> None:
    edge.running()

    status, problem = edge.post("", {**BODY, "floor_share": 0.1})

    assert (status, problem["code"]) == (409, "experiment_not_editable")
    assert "running configuration is not edited (floor_share): pause it first" in problem["detail"]


def test_a_paused_configuration_may_change_its_limits_in_a_new_version_but_not_what_is_compared(edge: Edge) -> None:
    edge.running()
    edge.post("/exp_hero/pause")

    status, changed = edge.post("", {**BODY, "floor_share": 0.1})
    refused, problem = edge.post("", {**BODY, "floor_share": 0.1, "variants": ["cohorts", "hybrid_margin"]})

    assert (status, changed["experiment"]["version"], changed["experiment"]["status"]) == (201, 4, "paused")
    assert changed["experiment"]["in_force"]
    assert (refused, problem["code"]) == (409, "experiment_not_editable")
    assert "not variants" in problem["detail"]


@pytest.mark.parametrize(
    ("action", "body", "status", "where"),
    [
        ("promote", {}, 409, "wrong_status"),
        ("rollback", {}, 409, "nothing_to_roll_back"),
        ("kill", {"variant": "hybird"}, 400, "/variant"),
        ("kill", {"variant": "cohorts"}, 400, "/variant"),
        ("kill", {"placement": "home_trending"}, 400, "/placement"),
        ("kill", {"variant": "hybrid", "placement": "home_hero"}, 400, "/placement"),
        ("decide", {}, 400, "/variant"),
        ("decide", {"variant": "hybird"}, 400, "/placements/home_hero"),
        ("decide", {"placements": {"home_trending": "hybrid"}}, 400, "/placements/home_trending"),
        ("decide", {"placements": {"home_hero": 3}}, 400, "/placements/home_hero"),
        ("pause", {"variant": "hybrid"}, 400, "/variant"),
        ("pause", {"reason": "x" * 501}, 400, "/reason"),
        ("pause", [], 400, "/"),
    ],
)
def test_an_action_that_makes_no_sense_is_refused(edge: Edge, action: str, body: Any, status: int, where: str) -> None:
    edge.running()

    answered, problem = edge.post(f"/exp_hero/{action}", body)

    assert answered == status
    assert where in (problem["code"], *(error["pointer"] for error in problem.get("errors", ())))
    assert len(edge.store.audit_trail("exp_hero")) == 2


def test_an_unknown_experiment_is_not_found(edge: Edge) -> None:
    for method, path in (("POST", "/exp_x/start"), ("GET", "/exp_x/audit")):
        status, problem = edge.call(method, path)
        assert (status, problem["code"]) == (404, "unknown_experiment")


def test_a_claim_without_a_calibrated_boundary_is_drafted_with_a_note_and_does_not_start(edge: Edge) -> None:
    _, drafted = edge.post("", {**BODY, "design": {"max_days": 21}})
    status, problem = edge.post("/exp_hero/start")

    assert "boundary_not_calibrated" in [one["code"] for one in drafted["problems"]]
    assert (status, problem["code"]) == (409, "boundary_not_calibrated")

    edge.post("", {**BODY, "design": {"max_days": 21, "boundary": 2.4}})
    assert edge.post("/exp_hero/start")[0] == 200


def test_a_body_that_is_no_json_is_refused(edge: Edge) -> None:
    status, problem = edge.call("POST", "", body="{")

    assert (status, problem["code"]) == (400, "invalid_json")


def test_without_traffic_nothing_is_forecast(edge: Edge) -> None:
    body = {name: value for name, value in BODY.items() if not name.startswith("expected_")}

    _, answer = edge.post("", body)

    assert answer["forecast"] is None
    assert [one["code"] for one in answer["problems"]] == ["control_is_not_the_default", "unknown_traffic"]


def test_a_design_request_has_the_fields_of_a_design() -> None:
    assert list(DesignRequest.__dataclass_fields__) == list(Design.__dataclass_fields__)
