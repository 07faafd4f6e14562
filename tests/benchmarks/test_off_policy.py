"""The off-policy command on logs small enough to check by hand, and on our own exposure log."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from recommender.contracts.event_kinds import CLICK, EXPOSURE
from recommender.contracts.events import Accepted, Event, to_accepted_record
from recommender.domain.serving.attribution import Claims, to_record
from recommender.errors import InvalidInput

from benchmarks import document
from benchmarks.off_policy import __main__ as off_policy
from benchmarks.off_policy import data as off_policy_policies
from benchmarks.off_policy.data import Log

RATES = np.array([0.02, 0.05, 0.10, 0.30])  # clicks of each item, wherever it stands
PRIOR = "all:\n  alpha:\n" + "    - 1.0\n" * 3 + "    - 97.0\n  beta:\n" + "    - 99.0\n" * 3 + "    - 3.0\n"


def write_logs(folder: Path, rows: int = 6000, **columns: pl.Expr) -> Path:
    """A random and a bts log of four items in two positions; bts prefers the better items."""
    rng = np.random.default_rng(4)
    for policy, chances in (("random", np.full(4, 0.25)), ("bts", np.array([0.1, 0.2, 0.3, 0.4]))):
        items = rng.choice(4, size=rows, p=chances)
        pl.DataFrame(
            {
                "item_id": items,
                "position": rng.integers(1, 3, rows),
                "click": (rng.random(rows) < RATES[items]).astype(np.int64),
                "propensity_score": chances[items],
                "user_feature_0": rng.choice(["a", "b"], rows),
            }
        ).with_columns(**columns).write_parquet(folder / f"{policy}_all.parquet")
    return folder


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """The command's JSON line."""
    assert off_policy.main([str(argument) for argument in arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_both_directions_find_the_value_of_the_other_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "--logs", write_logs(tmp_path), "--out", tmp_path / "out")

    forth, back = (found["campaigns"]["all"][name] for name in ("random_to_bts", "bts_to_random"))
    truth = {"random_to_bts": 0.162, "bts_to_random": 0.1175}  # sums of chance times rate
    for name, entry in (("random_to_bts", forth), ("bts_to_random", back)):
        for method in ("ips", "snips", "dm", "dr"):
            assert entry[method]["value"] == pytest.approx(truth[name], rel=0.12), (name, method)
            assert entry[method]["low"] < entry[method]["value"] < entry[method]["high"]
        assert not entry["refused"] and entry["mean_weight"] == pytest.approx(1.0, abs=0.05)
    assert forth["max_weight"] == pytest.approx(0.4 / 0.25, rel=0.06)
    assert forth["ratio"] == pytest.approx(forth["ips"]["value"] / found["data"]["all"]["random_rate"], rel=1e-3)
    page = (tmp_path / "out/report.html").read_text()
    assert "Campaign all" in page and (tmp_path / "out/campaign_all.png").exists()


def test_a_moving_policy_is_averaged_by_inverse_weights_and_never_by_its_plain_mean() -> None:
    rng = np.random.default_rng(1)
    chance = np.where(np.arange(40_000) < 20_000, 0.9, 0.1)  # of item 0; the mean policy shows it half of the time
    items = (rng.random(40_000) > chance).astype(np.int64)
    propensities = np.where(items == 0, chance, 1 - chance)
    log = Log(items, np.zeros(40_000, np.int64), np.zeros(40_000), propensities, np.zeros((40_000, 0)))

    policy = off_policy_policies.averaged(log, 3, 1)

    assert propensities[items == 0].mean() == pytest.approx(0.82, abs=0.01)  # 0.9 * 0.9 + 0.1 * 0.1
    assert policy[:, 0] == pytest.approx([0.5, 0.5, 0.0], abs=0.02)  # the third item was never logged
    assert off_policy_policies.unlogged_pairs(log, 3, 1) == 1


@pytest.mark.parametrize("name", ["prior_bts.yaml", "obp.whl"])
def test_the_starting_policy_is_simulated_from_published_parameters(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.endswith(".whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as wheel:
            wheel.writestr(off_policy_policies.PRIOR_FILE, PRIOR)
    else:
        (tmp_path / name).write_text(PRIOR)  # beside the logs: found without being named

    named = ("--prior", tmp_path / name) if name.endswith(".whl") else ()
    found = asked(capsys, "--logs", write_logs(tmp_path), *named)

    entry = found["campaigns"]["all"]["random_to_bts"]
    assert found["bts_policy"].startswith("starting policy")
    assert entry["max_weight"] == pytest.approx(4.0, rel=0.01)  # item 3 always first: 1 / 0.25
    assert found["from_logs_alone"]["all"]["random_to_bts"]["max_weight"] < 2.0


def test_a_log_that_hardly_shows_what_the_target_does_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_logs(tmp_path)
    path = tmp_path / "bts_all.parquet"
    log = pl.read_parquet(path).with_row_index("row")
    rare = pl.when(pl.col("row") == 7).then(1e-5).otherwise(pl.col("propensity_score"))
    log.with_columns(rare.alias("propensity_score")).drop("row").write_parquet(path)

    entry = asked(capsys, "--logs", tmp_path, "--out", tmp_path / "out")["campaigns"]["all"]["bts_to_random"]

    assert entry["refused"] and entry["effective_sample_size"] < 2 and entry["max_weight"] == pytest.approx(25_000)
    assert "25,000 rows" in entry["reason"] and entry["ips"]["value"] is not None
    assert "<td>refused</td>" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"propensity_score": pl.lit(0.0)}, "random_all.parquet/propensity_score of row 1 is 0.0"),
        ({"propensity_score": pl.lit(1.5)}, "random_all.parquet/propensity_score of row 1 is 1.5"),
        ({"propensity_score": pl.lit(None, pl.Float64)}, "propensity_score of row 1 is None"),
        ({"click": pl.lit(7)}, "random_all.parquet/click of row 1 is 7"),
        ({"item_id": pl.lit("x")}, "random_all.parquet/item_id of row 1 is 'x'"),
    ],
)
def test_a_wrong_value_is_named_by_file_column_and_row(
    change: Mapping[str, pl.Expr], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_logs(tmp_path, rows=50, **change)

    assert off_policy.main(["--logs", str(tmp_path)]) == 2
    assert named in capsys.readouterr().err


def test_missing_files_columns_rows_and_campaigns_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: object) -> str:
        assert off_policy.main([str(argument) for argument in arguments]) == 2
        return capsys.readouterr().err

    assert "random_all.parquet" in refused("--logs", tmp_path)
    assert "does not exist" in refused("--logs", tmp_path / "none")
    write_logs(tmp_path, rows=50)
    assert "/campaigns is 'children', expected one of all, men, women" in refused(
        "--logs", tmp_path, "--campaigns", "children"
    )
    assert "random_men.parquet does not exist" in refused("--logs", tmp_path, "--campaigns", "men")
    bts = pl.read_parquet(tmp_path / "bts_all.parquet")
    bts.drop("propensity_score").write_parquet(tmp_path / "bts_all.parquet")
    assert "bts_all.parquet/propensity_score is 'missing'" in refused("--logs", tmp_path)
    bts.clear().write_parquet(tmp_path / "bts_all.parquet")
    assert "bts_all.parquet is 'no rows'" in refused("--logs", tmp_path)
    (tmp_path / "bts_all.parquet").write_text("no table")
    assert "bts_all.parquet is 'unreadable'" in refused("--logs", tmp_path)
    assert "--logs is None" in refused()


def test_a_prior_that_is_none_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "prior.yaml"
    path.write_text("all:\n  alpha:\n    - -3\n")
    with pytest.raises(InvalidInput, match=r"prior.yaml, line 3"):
        off_policy_policies.read_prior(path)
    path.write_text("all:\n  alpha:\n    - 3\n")
    with pytest.raises(InvalidInput, match="alpha and beta"):
        off_policy_policies.read_prior(path)
    with pytest.raises(InvalidInput, match="4 of each"):
        off_policy_policies.starting({"all": {"alpha": np.ones(3), "beta": np.ones(3)}}, "all", 4, 2)


def exposure(number: int, variant: str, propensity: float, is_clicked: bool, **claims: Any) -> list[dict[str, Any]]:
    """The landed events of one list, as `collect_events` accepts them: seen, and perhaps clicked."""
    shown = Claims(
        recommendation_id=f"r{number}", placement=f"p{number % 2}", experiment="exp", config_version=1,
        epoch=number % 3, variant=variant, propensity=propensity, item_ids=("a", "b"), issued_at=0, session_id="s",
        **claims,
    )  # fmt: skip
    events = [("view_item_list", EXPOSURE), *([("select_item", CLICK)] if is_clicked else [])]
    return [
        to_accepted_record(
            Accepted(
                Event(f"{number}-{name}", name, datetime(2026, 6, 1, tzinfo=UTC), f"v{number // 4}", "s", visible=True),
                to_record(shown),
                (reward,),
            )
        )
        for name, reward in events
    ]


def land(path: Path, rows: int = 4000) -> Path:
    """Clicks of 10 % under `control`, 20 % under `hybrid`, served 3:1; some hold-out and unclaimed events between."""
    rng = np.random.default_rng(6)
    events: list[dict[str, Any]] = [{"event_name": "search", "visitor_id": "v", "claims": None, "rewards": []}]
    for number in range(rows):
        is_hybrid = bool(rng.random() < 0.25)
        is_clicked = bool(rng.random() < (0.2 if is_hybrid else 0.1))
        events += exposure(number, *(("hybrid", 0.25) if is_hybrid else ("control", 0.75)), is_clicked)
    for number in range(rows, rows + 10):
        events += exposure(number, "control", 1.0, True, is_holdout=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_our_own_landed_exposures_say_what_each_variant_is_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = asked(capsys, "--exposures", land(tmp_path / "events.jsonl"), "--out", tmp_path / "out")["exposures"]

    assert (found["exposures"], found["left_out"], found["unit"]) == (4000, 10, "visitor_id")
    for variant, rate in (("control", 0.1), ("hybrid", 0.2)):
        entry = found["experiments"]["exp"][variant]
        assert set(entry) == {"pooled", "p0", "p1"}
        for method in ("ips", "snips", "dm", "dr"):
            assert entry["pooled"][method]["low"] < rate < entry["pooled"][method]["high"], (variant, method)
        assert not entry["pooled"]["refused"] and entry["p0"]["exposures"] == 2000
    assert (tmp_path / "out/exposures_exp.png").exists()


def test_the_warehouse_export_of_the_same_lists_says_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in land(tmp_path / "events.jsonl").read_text().splitlines()]
    clicked = {event["claims"]["recommendation_id"] for event in lines if "click" in event["rewards"]}
    rows = [
        {**event["claims"], "session_id": event["visitor_id"], "item_id": item, "clicked": place == 1 and is_clicked}
        for event in lines
        if "exposure" in event["rewards"]
        for is_clicked in [event["claims"]["recommendation_id"] in clicked]
        for place, item in enumerate(("a", "b"))
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "part-0.parquet")

    by_export = asked(capsys, "--exposures", tmp_path / "part-0.parquet")["exposures"]
    landed = asked(capsys, "--exposures", tmp_path / "events.jsonl")["exposures"]

    assert by_export["unit"] == "session_id"
    assert by_export["experiments"] == landed["experiments"]


def test_wrong_exposures_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.jsonl"

    def refused(*events: object) -> str:
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        assert off_policy.main(["--exposures", str(path)]) == 2
        return capsys.readouterr().err

    right = exposure(1, "control", 0.5, False)[0]
    assert "no exposures" in refused()
    assert "events.jsonl, line 1" in refused("text")
    assert "propensity is 0.0" in refused({**right, "claims": {**right["claims"], "propensity": 0.0}})
    assert "none of them drawn" in refused({**right, "claims": {**right["claims"], "propensity": 1.0}})
    assert "claims/variant is 'missing'" in refused(
        {**right, "claims": {key: value for key, value in right["claims"].items() if key != "variant"}}
    )
    assert off_policy.main(["--exposures", str(tmp_path / "none")]) == 2
    pl.DataFrame({"recommendation_id": ["r"]}).write_parquet(tmp_path / "x.parquet")
    assert off_policy.main(["--exposures", str(tmp_path / "x.parquet")]) == 2
    assert "x.parquet/session_id is 'missing'" in capsys.readouterr().err


def test_the_page_tells_the_kept_figures_beside_the_published_ones() -> None:
    result = document.Result(json.loads((document.RESULTS / "off_policy.json").read_text(encoding="utf-8")))
    forth = result["campaigns"]["all"]["random_to_bts"]

    assert forth["ips"]["value"] == pytest.approx(0.004553, abs=0.00005)
    assert forth["snips"]["value"] == pytest.approx(0.004776, abs=0.00006)
    assert forth["ratio"] == pytest.approx(1.198, abs=0.012)
    assert forth["relative_error"] == pytest.approx(0.084, abs=0.011)
    for name, published in (("men", 0.004534), ("women", 0.006813)):
        assert result["campaigns"][name]["random_to_bts"]["ips"]["value"] == pytest.approx(published, rel=0.01)
    assert result["campaigns"]["women"]["bts_to_random"]["refused"]
