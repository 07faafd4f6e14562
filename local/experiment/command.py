"""`experiment COMMAND`: draft, start, pause, resume, kill, decide, promote and roll back experiments over the API.

Without an address the local run answers. People get tables, machines `--json`. Exit status 0: done, also where there
was nothing left to do; 1: refused, with every wrong field by its JSON pointer; 2: the command line makes no sense.

`experiment calibrate`: run null experiments of a design and write the boundary that they give into its file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recommender.contracts.experiments import parse_experiment
from recommender.contracts.routes import ACTIONS
from recommender.domain.experiments.evidence.calibration import CLICK_RATE, DAILY_EXPOSURES, calibrate
from recommender.domain.experiments.running.config import proposed
from recommender.errors import InvalidInput
from tqdm import tqdm

from local.experiment import tables
from local.experiment.admin import Admin, Answer, connect
from local.settings import ROOT, LocalRunError

UNNAMED_BUNDLE = "any"  # of a canary: which bundle it is does not matter to the calibration


def calibrate_file(path: Path, *, experiments: int, seed: int) -> int:
    """Write `design.boundary`; traffic that the file does not state is that of the benchmark."""
    try:
        body = json.loads(path.read_text())
        request = parse_experiment(body)
        config = proposed(request, bundle_id=UNNAMED_BUNDLE)
        given = list(request.expected_daily_exposures.values())
        exposures = sum(given) / len(given) * (1 - config.holdout_share) if given else DAILY_EXPOSURES
        with tqdm(total=experiments, unit="experiment", desc="null experiments (simulated)") as bar:
            found = calibrate(
                replace(config.design, boundary=0.0),
                placements=len(config.placements),
                variants=len(config.variants),
                experiments=experiments,
                seed=seed,
                daily_exposures=exposures / request.expected_design_effect,
                click_rate=request.expected_click_rate or CLICK_RATE,
                progress=lambda done: bar.update(done - bar.n),
            )
    except InvalidInput as error:
        wrong = [{"pointer": one.pointer, "value": one.value, "expected": one.expected} for one in error.problems]
        raise LocalRunError(tables.refusal({"code": error.code, "errors": wrong})) from error
    except (OSError, ValueError) as error:
        raise LocalRunError(f"{path} cannot be read as an experiment: {error}.") from error
    _write(path, body, round(found.boundary, 4))
    print(
        f"Boundary {found.boundary:.3f} (standard error {found.standard_error:.3f}) from {experiments} simulated null "
        f"experiments, for a false-ship rate of {config.design.error_share:.1%} a placement; written to {path}."
    )
    return 0


def _write(path: Path, body: dict[str, Any], boundary: float) -> None:
    changed = {**body, "design": {**(body.get("design") or {}), "boundary": boundary}}
    path.write_text(json.dumps(changed, indent=1, ensure_ascii=False) + "\n")


EXPERIMENTS = "/experiments"


def main(arguments: Sequence[str]) -> int:
    """Run a command; the exit status."""
    if arguments[:1] == ["report"]:
        from local.experiment_report import main as report  # draws plots: seconds that no other command should pay

        return report(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        if options.command == "calibrate":
            return calibrate_file(options.file, experiments=options.experiments, seed=options.seed)
        return _run(options, connect(options.url, state_dir=options.state_dir, region=options.region))
    except LocalRunError as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, admin: Admin) -> int:
    match options.command:
        case "list":
            return _print(options, admin.get(EXPERIMENTS), tables.listed)
        case "show":
            return _show(options, admin)
        case "audit":
            return _print(options, admin.get(_path(options, "audit")), tables.audit)
        case "create":
            return _create(options, admin)
        case action:
            answer = admin.post(_path(options, action), _body(options))
            return _print(options, answer, _changed)


def _create(options: argparse.Namespace, admin: Admin) -> int:
    body = read_experiment(options.file)
    changes = {"reason": options.reason, "dry_run": options.dry_run or None}
    answer = admin.post(EXPERIMENTS, {**body, **{name: value for name, value in changes.items() if value}})

    def words(found: Mapping[str, Any]) -> str:
        done = "Checked, nothing stored." if options.dry_run else _changed(found)
        return "\n".join([done, tables.forecast(found)])

    return _print(options, answer, words)


def _show(options: argparse.Namespace, admin: Admin) -> int:
    answer = admin.get(EXPERIMENTS)
    if answer.is_refusal:
        return _print(options, answer, tables.shown)
    found = [one for one in answer.body["experiments"] if one["experiment_id"] == options.experiment]
    if not found:
        raise LocalRunError(f"Experiment {options.experiment!r} does not exist; `list` names those that do.")
    return _print(options, Answer(200, found[0]), tables.shown)


def _changed(body: Mapping[str, Any]) -> str:
    note = "" if body["changed"] else "Nothing to do: it was so already.\n"
    return note + tables.shown(body["experiment"])


def _print(options: argparse.Namespace, answer: Answer, words: Any) -> int:
    """The answer on stdout; a refusal in words on stderr, as JSON where machines read."""
    if options.json:
        print(json.dumps(answer.body, indent=1, ensure_ascii=False))
    elif answer.is_refusal:
        print(tables.refusal(answer.body), file=sys.stderr)
    else:
        print(words(answer.body))
    return int(answer.is_refusal)


def read_experiment(path: Path) -> dict[str, Any]:
    """The JSON object of an experiment file."""
    try:
        body = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LocalRunError(f"{path} cannot be read as an experiment: {error}.") from error
    if not isinstance(body, dict):
        raise LocalRunError(f"{path} holds {type(body).__name__}, expected a JSON object with an experiment.")
    return body


def _path(options: argparse.Namespace, action: str) -> str:
    return f"{EXPERIMENTS}/{quote(options.experiment, safe='')}/{action}"


def _body(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name, None) for name in ("reason", "variant", "placement")}
    body = {name: value for name, value in given.items() if value is not None}
    return {**body, "placements": dict(options.ship)} if getattr(options, "ship", None) else body


def _choice(text: str) -> tuple[str, str]:
    placement, equals, variant = text.partition("=")
    if not (placement and equals and variant):
        raise argparse.ArgumentTypeError(f"{text!r}, expected placement=variant")
    return placement, variant


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", default=f"http://127.0.0.1:{os.environ.get('PORT') or 8080}", help="of the API")
    common.add_argument("--region", help="of an API in AWS, where its address does not name it")
    common.add_argument("--state-dir", type=Path, default=ROOT / ".local", help="of the local run, for its keys")
    common.add_argument("--json", action="store_true", help="print the API's answer, or its problem, as JSON")
    named = argparse.ArgumentParser(add_help=False, parents=[common])
    named.add_argument("experiment", help="its id")
    parser = argparse.ArgumentParser(prog="recommender experiment", description="The life of experiments.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    create = commands.add_parser("create", parents=[common], help="draft an experiment: checks and a forecast")
    create.add_argument("--file", type=Path, required=True, help="the experiment as JSON, see docs/lifecycle.md")
    create.add_argument("--dry-run", action="store_true", help="check and forecast, store nothing")
    create.add_argument("--reason", help="for the audit trail")
    commands.add_parser("list", parents=[common], help="every experiment")
    for name, summary in {"show": "how one stands in each placement", "audit": "who did what, when and why"}.items():
        commands.add_parser(name, parents=[named], help=summary)
    for action, summary in ACTIONS.items():
        made = commands.add_parser(action, parents=[named], help=summary[0].lower() + summary[1:])
        made.add_argument("--reason", help="for the audit trail")
        if action == "kill":
            one = made.add_mutually_exclusive_group()
            one.add_argument("--variant", help="this challenger only, everywhere")
            one.add_argument("--placement", help="this placement only")
        if action == "decide":
            one = made.add_mutually_exclusive_group(required=True)
            one.add_argument("--variant", help="to ship everywhere; the control closes without a winner")
            one.add_argument(
                "--ship", type=_choice, action="append", metavar="PLACEMENT=VARIANT", help="may be repeated"
            )
    commands.add_parser("report", add_help=False, help="the report as a page with plots")
    calibrate = commands.add_parser("calibrate", help="find the boundary of a design by null experiments")
    calibrate.add_argument("--file", type=Path, required=True, help="the experiment; its design gets the boundary")
    calibrate.add_argument("--experiments", type=int, default=2000, help="null experiments, the more the surer")
    calibrate.add_argument("--seed", type=int, default=1)
    return parser
