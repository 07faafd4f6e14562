"""`experiment report`: fetch an experiment's report from the API, signed, and leave it as JSON, page and plots.

The address may be any deployment; its keys come from the environment as for any AWS tool. Without an address the local
run answers, with the keys of its state folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlparse
from urllib.request import Request, urlopen

from local.aws.signing import KeyPair, sign
from local.experiment_report.page import write
from local.settings import REGION, ROOT, Keys, LocalRunError, StateFolder

TIMEOUT_SECONDS = 60.0
LOOPBACK = ("127.0.0.1", "localhost")


def main(arguments: Sequence[str]) -> int:
    """Write the report and print where its page is."""
    options = _parser().parse_args(arguments)
    try:
        report = _read(options.file) if options.file else fetch(options.experiment, options.url, _keys(options))
        out = options.out or ROOT / "reports" / "experiments" / str(report["experiment_id"])
        print(write(report, out))
    except LocalRunError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyError as missing:
        print(f"The report has no {missing}: it was made by another version than this page.", file=sys.stderr)
        return 1
    return 0


def fetch(experiment_id: str, url: str, keys: KeyPair) -> dict[str, Any]:
    """GET /v1/experiments/{id}; raises LocalRunError with the API's own words where it answers a problem."""
    address = f"{url.rstrip('/')}/v1/experiments/{quote(experiment_id, safe='')}"
    if urlparse(address).scheme not in ("http", "https"):
        raise LocalRunError(f"The address is {url!r}, expected http://… or https://…")
    request = Request(address, headers=sign("GET", address, keys))  # noqa: S310 - the scheme is checked
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the scheme is checked
            body: dict[str, Any] = json.loads(answer.read())
            return body
    except HTTPError as error:
        raise LocalRunError(f"The API answers {error.code}: {_detail(error.read())}") from error
    except (URLError, OSError, ValueError) as error:
        raise LocalRunError(f"No report from {address}: {error}. Does `make run` run?") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        body: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LocalRunError(f"{path} cannot be read as a report: {error}.") from error
    if not isinstance(body, Mapping) or "may_claim" not in body:
        raise LocalRunError(f"{path} holds no experiment report, expected the answer of GET /v1/experiments/….")
    return body


def _keys(options: argparse.Namespace) -> KeyPair:
    """The keys of the local run where it has some, else those of the environment."""
    if urlparse(options.url).hostname in LOOPBACK:
        try:
            keys = Keys(**json.loads(StateFolder(options.state_dir).keys.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise LocalRunError(f"No keys in {options.state_dir}: start `make run` first, or give --url.") from error
        return KeyPair(keys.access_key, keys.secret_key, REGION)
    missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not os.environ.get(name)]
    if missing:
        raise LocalRunError(f"{missing[0]} is not set; a report of {options.url} needs signed requests.")
    region = os.environ.get("AWS_REGION", REGION)
    return KeyPair(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], region)


def _detail(content: bytes) -> str:
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace") or "no words"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recommender experiment report", description="An experiment as a page.")
    parser.add_argument("experiment", nargs="?", default="exp_default", help="its id")
    parser.add_argument("--url", default=f"http://127.0.0.1:{os.environ.get('PORT') or 8080}", help="of the API")
    parser.add_argument("--file", type=Path, help="a report.json instead of the API")
    parser.add_argument("--out", type=Path, help="folder for report.json, report.html and the plots")
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".local", help="of the local run, for its keys")
    return parser
