"""`experiment …` as an administrator types it, over real HTTP against the real function on a store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from recommender.adapters.http import key_digest
from recommender.adapters.memory.experiments import MemoryExperimentStore
from recommender.contracts.placements import DEFAULT

from local.aws.gateway import Gateway
from local.aws.runtime_api import Outcome
from local.aws.signing import KeyPair
from local.cli import main as local_main
from local.experiment import main
from local.experiment.admin import connect
from local.settings import REGION, StateFolder, load_or_make
from local.web import WebServer
from tests.fakes.sources import MemoryArtifacts
from tests.handlers.deployed import KEY, deployed

EXPERIMENT = {
    "experiment_id": "exp_hero",
    "placements": ["home_hero", "pdp_similar"],
    "variants": ["cohorts", "hybrid"],
    "expected_daily_exposures": 100_000,
    "expected_click_rate": 0.02,
    "design": {"time_box_days": 10},
}
Command = Callable[..., int]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(EXPERIMENT))
    return path


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command line, told where a gateway with the administrative function listens."""
    policies = {placement.placement_id: placement.policies for placement in DEFAULT}
    handler = deployed("manage_experiments", monkeypatch).create_handler(
        MemoryExperimentStore(), MemoryArtifacts(), placements=policies, key_digests=key_digest(KEY)
    )

    def invoke(function: str, event: Mapping[str, Any]) -> Outcome:
        assert function == "manage_experiments"
        return Outcome(json.dumps(handler(dict(event), None)).encode())

    keys = load_or_make(StateFolder(tmp_path).keys)
    server = WebServer(0, site=Gateway(invoke, KeyPair(keys.access_key, keys.secret_key, REGION)))
    try:
        yield lambda *words: main([*words, "--url", server.url, "--state-dir", str(tmp_path)])
    finally:
        server.close()


def test_an_experiment_lives_on_the_command_line(
    command: Command, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("create", "--file", str(file), "--reason", "hero") == 0
    for words in (
        ("start", "exp_hero", "--reason", "week 48"),
        ("pause", "exp_hero"),
        ("resume", "exp_hero"),
        ("decide", "exp_hero", "--ship", "home_hero=hybrid", "--ship", "pdp_similar=cohorts"),
        ("promote", "exp_hero"),
        ("rollback", "exp_hero", "--reason", "complaints"),
    ):
        assert command(*words) == 0
    capsys.readouterr()

    assert command("audit", "exp_hero") == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == [
        "create",
        "start",
        "pause",
        "resume",
        "decide",
        "promote",
        "rollback",
    ]
    assert lines[2].split()[2:] == ["1", "2", "local", "week", "48"]


def test_a_dry_run_prints_the_forecast_and_stores_nothing(
    command: Command, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("create", "--file", str(file), "--dry-run") == 0

    text = capsys.readouterr().out
    assert text.startswith("Checked, nothing stored.\nTraffic as given: 200,000 exposures a day, 2.00% clicked\n")
    assert "+7.5 %" in text
    assert "(simulated)" in text

    command("list")
    assert capsys.readouterr().out == "No experiments.\nEpoch 0.\n"


def test_a_refusal_names_field_value_and_expectation_and_exits_with_one(
    command: Command, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(json.dumps({**EXPERIMENT, "weights": [0.7, 0.7], "placements": ["home_hero"]}))

    assert command("create", "--file", str(file)) == 1

    assert capsys.readouterr().err == (
        "Refused (invalid_argument):\n"
        "  /weights/home_hero: is (0.7, 0.7), expected weights that sum to 1; these sum to 1.4\n"
    )


def test_a_refused_action_says_why(command: Command, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("create", "--file", str(file))
    capsys.readouterr()

    assert command("promote", "exp_hero") == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "Refused (wrong_status): experiment 'exp_hero' is draft; promote needs one that is decided\n"
    )


def test_machines_read_json_also_of_a_refusal(command: Command, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("create", "--file", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["experiment"]["status"] == "draft"

    assert command("resume", "exp_hero", "--json") == 1
    assert json.loads(capsys.readouterr().out)["code"] == "wrong_status"


def test_show_says_how_each_placement_stands(command: Command, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("create", "--file", str(file))
    command("start", "exp_hero")
    command("kill", "exp_hero", "--placement", "pdp_similar")
    command("decide", "exp_hero", "--ship", "home_hero=hybrid")
    capsys.readouterr()

    assert command("show", "exp_hero") == 0

    assert capsys.readouterr().out.splitlines() == [
        "exp_hero, version 2: running",
        "  test by the rule claim, looks on days 10; floor 2.0%, hold-out 5.0%",
        "  placement    cohorts  hybrid  state",
        "  home_hero    0.020    0.980   decided: hybrid",
        "  pdp_similar  0.500    0.500   killed",
    ]


def test_a_repeated_action_says_that_nothing_was_left_to_do(
    command: Command, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("create", "--file", str(file))
    command("start", "exp_hero")
    capsys.readouterr()

    assert command("start", "exp_hero") == 0
    assert capsys.readouterr().out.startswith("Nothing to do: it was so already.\n")


def test_what_does_not_exist_or_cannot_be_read_is_one_sentence(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")

    assert command("show", "exp_x") == 1
    assert "'exp_x' does not exist" in capsys.readouterr().err
    assert command("create", "--file", str(broken)) == 1
    assert "cannot be read as an experiment" in capsys.readouterr().err
    assert main(["list", "--url", "http://127.0.0.1:9", "--state-dir", str(tmp_path)]) == 1
    assert "No answer from http://127.0.0.1:9" in capsys.readouterr().err
    assert main(["list", "--state-dir", str(tmp_path / "empty")]) == 1
    assert "No keys" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["decide", "exp_hero"], ["decide", "e", "--ship", "home_hero"], ["frobnicate"], []])
def test_a_command_line_that_makes_no_sense_exits_with_two(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        local_main(["experiment", *words])

    assert stop.value.code == 2


def test_an_api_in_aws_is_signed_with_the_usual_credentials_for_the_region_in_its_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "t"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)

    admin = connect("https://abc.execute-api.eu-west-1.amazonaws.com", state_dir=tmp_path, region=None)

    assert admin.region == "eu-west-1"
    assert (admin.credentials.access_key, admin.credentials.token) == ("AKIA", "t")


def test_calibrate_writes_the_boundary_into_the_design_and_nothing_else(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--file", str(file), "--experiments", "100", "--seed", "3"]) == 0

    written = json.loads(file.read_text())
    boundary = written["design"].pop("boundary")
    assert 1.0 < boundary < 4.0
    assert written == EXPERIMENT
    assert f"Boundary {boundary:.3f}" in capsys.readouterr().out


def test_calibrate_refuses_a_wrong_file_by_its_field(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(json.dumps({**EXPERIMENT, "design": {"rule": "win"}}))

    assert main(["calibrate", "--file", str(file)]) == 1
    assert "/design/rule: is 'win'" in capsys.readouterr().err


def test_the_keys_of_the_state_folder_are_those_of_the_local_run(tmp_path: Path) -> None:
    keys = load_or_make(StateFolder(tmp_path).keys)

    admin = connect("http://127.0.0.1:8080", state_dir=tmp_path, region=None)

    assert admin.credentials.access_key == asdict(keys)["access_key"]
