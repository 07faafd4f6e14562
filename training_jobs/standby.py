"""The standby lists of a bundle: what its precomputed lists and its most popular items look like to a shop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from recommender.contracts import artifacts as names
from recommender.domain.serving.standby import Standby, standby_from_json

POPULAR: Final = 200  # items that fill what the lists leave open


def standby_of(paths: Mapping[str, Path]) -> Standby:
    """The lists from a bundle's files, without what was sold out when it was made. Raises ArtifactRefused if empty."""
    item_ids = [bytes(item_id).decode() for item_id in np.load(paths[names.ITEM_IDS], allow_pickle=False)]
    place = {item_id: row for row, item_id in enumerate(item_ids)}
    with np.load(paths[names.ITEM_TABLE], allow_pickle=False) as table:
        in_stock = table["in_stock"]
    with np.load(paths[names.PRIOR], allow_pickle=False) as prior:
        best_first = np.argsort(-prior["log_share"], kind="stable")
    popular = [item_ids[row] for row in best_first[in_stock[best_first]][:POPULAR].tolist()]
    lists = {
        name: [item_id for item_id in listed if item_id in place and in_stock[place[item_id]]]
        for name, listed in json.loads(paths[names.FALLBACK].read_text()).items()
    }
    wanted = dict.fromkeys([*popular, *(item_id for listed in lists.values() for item_id in listed)])
    facts = _facts(paths, [place[item_id] for item_id in wanted])
    return standby_from_json(json.dumps({"items": facts, "lists": lists}).encode())


def _facts(paths: Mapping[str, Path], rows: list[int]) -> list[dict[str, Any]]:
    offsets = np.load(paths[names.CATALOGUE_OFFSETS], allow_pickle=False)
    with paths[names.CATALOGUE].open("rb") as lines:
        found = []
        for row in rows:
            lines.seek(int(offsets[row]))
            found.append(json.loads(lines.read(int(offsets[row + 1] - offsets[row]))))
    return found
