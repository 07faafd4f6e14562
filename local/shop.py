"""Backend of the shop page beside the API: its files, its settings, item facts, the report, and a signed console.

The console proxy signs admin requests with the local keys, so that the page can show an experiment
without holding a secret. It answers only requests that a page of this very server makes. `POST /console/epochs`
ends an epoch at a simulated moment; it exists here and nowhere else.

Facts for the shop page, read from the kept bundle: what an item is, and a sample of what there is.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
from recommender.contracts.api import read_json
from recommender.contracts.artifacts import CATALOGUE, CATALOGUE_OFFSETS, CURRENT, FALLBACK, ITEM_IDS
from recommender.contracts.fields import read_object, read_time
from recommender.errors import InvalidInput, TooLarge

from local.aws.signing import KeyPair, sign
from local.settings import LocalRunError
from local.web import Request, Response, Site, json_response, problem


class KeptCatalogue:
    """The catalogue of the bundle that `current.json` of an artifact folder points to."""

    def __init__(self, artifacts: Path) -> None:
        self.bundle_id: str = json.loads((artifacts / CURRENT).read_text())["bundle_id"]
        folder = artifacts / "bundles" / self.bundle_id
        self._ids = np.load(folder / ITEM_IDS, mmap_mode="r")
        self._offsets = np.load(folder / CATALOGUE_OFFSETS, mmap_mode="r")
        self._lines = folder / CATALOGUE
        self._fallback: Mapping[str, Sequence[str]] = json.loads((folder / FALLBACK).read_text())

    def describe(self, item_id: str) -> dict[str, Any] | None:
        """title, description, category, brand and price of an item, or None for an unknown one."""
        wanted = np.bytes_(item_id.encode())
        row = int(np.searchsorted(self._ids, wanted))
        if row >= len(self._ids) or self._ids[row] != wanted:
            return None
        with self._lines.open("rb") as file:
            file.seek(int(self._offsets[row]))
            facts = json.loads(file.read(int(self._offsets[row + 1] - self._offsets[row])))
        facts["price"] = facts.pop("price_cents", 0) / 100
        return dict(facts)

    def popular(self, count: int) -> list[dict[str, Any]]:
        """Items that the precomputed lists agree on, each once."""
        ranks = range(count)
        ids = dict.fromkeys(items[n] for n in ranks for items in self._fallback.values() if n < len(items))
        found = (self.describe(item_id) for item_id in ids)
        return [facts for facts in found if facts is not None][:count]


CONSOLE: Final = "/console"
EPOCHS: Final = f"{CONSOLE}/epochs"
ITEMS: Final = "/shop-items/"
REPORT: Final = "/report/"
LOOPBACK: Final = ("127.0.0.1", "localhost")
COUNT_SAMPLES: Final = 48


class Shop:
    """A site that answers everything outside of `/v1` and hands the rest to the gateway."""

    def __init__(
        self,
        gateway: Site,
        *,
        files: Path,
        report: Path,
        catalogue: KeptCatalogue,
        households: Sequence[str],
        publishable_key: str,
        keys: KeyPair,
        simulate: Callable[[datetime], Mapping[str, Any]],
    ) -> None:
        self._gateway, self._files, self._report, self._catalogue, self._keys = gateway, files, report, catalogue, keys
        self._simulate = simulate
        samples = catalogue.popular(COUNT_SAMPLES)
        self._config: dict[str, Any] = {
            "publishable_key": publishable_key,
            "households": list(households),
            "items": samples,
            "categories": sorted({item["category"] for item in samples}),
            "bundle_id": catalogue.bundle_id,
        }

    def __call__(self, request: Request) -> Response:
        """Answer a request of a browser."""
        if request.headers.get("host", "").partition(":")[0] not in LOOPBACK:
            return problem(421, "Misdirected request", "This server answers on 127.0.0.1 only.", "misdirected")
        if request.path.startswith("/v1/"):
            return self._gateway(request)
        if request.method == "POST" and request.path == EPOCHS:
            return self._end_epoch(request)
        if request.method not in ("GET", "HEAD"):
            return problem(405, "Method not allowed", f"{request.path} is only read.", "method_not_allowed")
        if request.path.startswith(f"{CONSOLE}/v1/"):
            return self._console(request)
        if request.path == "/shop-config.json":
            return json_response(self._config)
        if request.path.startswith(ITEMS):
            return self._item(unquote(request.path.removeprefix(ITEMS)))
        if request.path.startswith(REPORT):
            return _file(self._report, request.path.removeprefix(REPORT) or "report.html")
        return _file(self._files, request.path.removeprefix("/") or "index.html")

    def _end_epoch(self, request: Request) -> Response:
        """End the epoch at the moment in the body; no page of another site can send JSON here."""
        if _is_foreign(request) or request.headers.get("content-type", "") != "application/json":
            return problem(403, "Forbidden", "Send application/json, and from no other site.", "forbidden")
        try:
            at = read_time(read_object(read_json(request.body), "").get("time"), "/time")
            return json_response(self._simulate(at))
        except (ValueError, InvalidInput, TooLarge) as error:
            return problem(400, "Bad request", str(error), "invalid_argument")
        except LocalRunError as error:
            return problem(503, "Not now", str(error), "not_now")

    def _console(self, request: Request) -> Response:
        if _is_foreign(request):
            return problem(403, "Forbidden", "The console answers pages of this server only.", "forbidden")
        path = request.path.removeprefix(CONSOLE)
        query = f"?{request.query}" if request.query else ""
        host = request.headers["host"]
        try:
            headers = sign("GET", f"http://{host}{path}{query}", self._keys)
        except ValueError:  # a host or a path that no URL has
            return problem(400, "Bad request", "The address cannot be signed.", "invalid_argument")
        signed = {name.lower(): value for name, value in headers.items()}
        answer = self._gateway(Request("GET", path, request.query, {"host": host, **signed}))
        kept = tuple((name, value) for name, value in answer.headers if not name.startswith("access-control-"))
        return Response(answer.status, answer.body, kept)

    def _item(self, item_id: str) -> Response:
        facts = self._catalogue.describe(item_id)
        if facts is None:
            return problem(404, "Not found", f"No item {item_id[:80]!r}.", "unknown_item")
        return json_response(facts)


def _is_foreign(request: Request) -> bool:
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _file(folder: Path, name: str) -> Response:
    try:
        path = (folder / unquote(name)).resolve()
        is_there = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name that no file has: NUL, thousands of characters
        is_there = False
    if not is_there:
        return problem(404, "Not found", f"No file {name[:80]!r}.", "not_found")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    kind += "; charset=utf-8" if kind.startswith("text/") else ""
    return Response(200, path.read_bytes(), (("content-type", kind), ("cache-control", "no-cache")))
