"""From published files to the Bundle in memory.

Loading refuses what does not fit together: another feature list than the code computes, arrays of
different item counts, a model with other tensors than its manifest says. Big arrays are mapped, not read.

Decisions: docs/decisions/bundle.md (045).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from recommender.adapters.bundle_files import fetch, read_manifest
from recommender.adapters.onnx import OnnxModel, QueryEncoder
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import BundleFile, Kind, Manifest
from recommender.domain.models.arrays import Counts, Floats, from_npz
from recommender.domain.models.bundle import Bundle, ItemTable, Model
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.next_item_features import FEATURES as NEXT_ITEM_FEATURES
from recommender.domain.serving.features import FEATURES
from recommender.errors import ArtifactRefused, DependencyDown, RecommenderError
from recommender.ports import ArtifactStore

CACHED_ITEMS: Final = 4096  # whose facts stay parsed, about a kilobyte each: pages show few items again and again
CHECKED_NEIGHBOURS: Final = 10
LOST_NEIGHBOURS: Final = 2  # of the ten, what an 8-bit scan may rank outside its whole list

Report = Callable[[str], None]


def load_bundle(
    store: ArtifactStore, bundle_id: str, cache_dir: Path, *, report: Report = lambda message: None
) -> Bundle:
    """The bundle, every file checked. Raises ArtifactRefused, and DependencyDown where the store cannot answer.

    `report` is called where a slower way is taken, such as for a retrieval graph this processor cannot run.
    """
    manifest = read_manifest(store, bundle_id)
    if manifest.features != FEATURES:
        changed = sorted(set(manifest.features) ^ set(FEATURES)) or ["their order"]
        raise ArtifactRefused(f"bundle {bundle_id} was trained on other features than this code: {', '.join(changed)}")
    files = _Files(manifest, fetch(store, manifest, cache_dir), report)
    try:
        bundle = _assemble(files)
        _check_shapes(bundle)
    except RecommenderError:
        raise
    except Exception as error:  # whatever a file makes its reader raise, the bundle is not one to serve from
        raise ArtifactRefused(f"bundle {bundle_id} cannot be read: {error!r}") from error
    return bundle


class LineCatalogue:
    """Display facts read from a mapped JSON-lines file by offset."""

    def __init__(self, lines: NDArray[np.uint8], offsets: Counts) -> None:
        """`lines` are the file's bytes; `offsets` (I + 1,) are the starts of the lines."""
        if int(offsets[0]) != 0 or int(offsets[-1]) != len(lines) or bool((np.diff(offsets) <= 0).any()):
            raise ArtifactRefused(f"{names.CATALOGUE_OFFSETS} do not fit {names.CATALOGUE}")
        self._lines = lines
        self._offsets = offsets
        self._cached = lru_cache(maxsize=CACHED_ITEMS)(self._read)
        self.count_items = len(offsets) - 1

    def describe(self, row: int) -> Mapping[str, Any]:
        """item_id, title, description, category, brand, price_cents of the item in `row`; not to be changed."""
        return self._cached(row)

    def _read(self, row: int) -> Mapping[str, Any]:
        line = self._lines[self._offsets[row] : self._offsets[row + 1]].tobytes()
        facts: dict[str, Any] = json.loads(line.decode())
        return facts


@dataclass(frozen=True, slots=True)
class _Files:
    """The checked files of one bundle on this machine."""

    manifest: Manifest
    paths: Mapping[str, Path]
    report: Report

    def model(self, name: str) -> OnnxModel:
        """Load the model, and refuse other tensors than the manifest has."""
        spec = self.manifest.files[name]
        return OnnxModel(self.paths[name]).check(inputs=spec.inputs, outputs=spec.outputs)


def _assemble(files: _Files) -> Bundle:
    read = {file.field: READERS[file.kind](files, file) for file in names.BUNDLE_FILES if file.kind is not Kind.PART}
    return Bundle(bundle_id=files.manifest.bundle_id, **read)


def _array(files: _Files, file: BundleFile) -> NDArray[Any]:
    return mapped(files.paths[file.name])


def _record(files: _Files, file: BundleFile) -> object:
    return from_npz(RECORDS[file.field], files.paths[file.name].read_bytes())


def _model(files: _Files, file: BundleFile) -> OnnxModel:
    return files.model(file.name)


def _retrieval(files: _Files, file: BundleFile) -> Model:
    return checked_retrieval(files.model(file.name), mapped(files.paths[file.beside]), files.report)


def _catalogue(files: _Files, file: BundleFile) -> LineCatalogue:
    lines = np.asarray(np.memmap(files.paths[file.name], np.uint8, "r"))
    return LineCatalogue(lines, mapped(files.paths[file.beside]))


def _lists(files: _Files, file: BundleFile) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(map(_text, ids)) for name, ids in json.loads(files.paths[file.name].read_text()).items()}


def _text_encoder(files: _Files, file: BundleFile) -> QueryEncoder:
    return QueryEncoder.load(files.model(file.name), files.paths[file.beside])


def _records() -> dict[str, type[Any]]:
    """field of the Bundle -> the dataclass it is typed with, also as `X | None`."""
    parts = {name: (kind, *get_args(kind)) for name, kind in get_type_hints(Bundle).items()}
    return {
        name: part for name, kinds in parts.items() for part in kinds if isinstance(part, type) and is_dataclass(part)
    }


RECORDS: Final = _records()
READERS: Final[Mapping[Kind, Callable[[_Files, BundleFile], Any]]] = {
    Kind.ARRAY: _array,
    Kind.RECORD: _record,
    Kind.MODEL: _model,
    Kind.RETRIEVAL: _retrieval,
    Kind.CATALOGUE: _catalogue,
    Kind.LISTS: _lists,
    Kind.TEXT_ENCODER: _text_encoder,
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{names.FALLBACK} lists {value!r}, expected item ids")
    return value


def mapped(path: Path) -> NDArray[Any]:
    """A .npy file as an array whose pages are read when they are used."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def checked_retrieval(model: OnnxModel, item_vectors: Floats, report: Report) -> Model:
    """The graph if it agrees with numpy on one query, else numpy.

    8-bit kernels differ between processors, and one that is missing shows only when the graph runs.
    """
    limit = model.outputs[0].shape[1] or len(item_vectors)
    exact = scan(item_vectors, limit)
    query = np.ascontiguousarray(item_vectors[:1])  # (1, D)
    wanted = exact({"q": query})["i"][0][:CHECKED_NEIGHBOURS]
    try:
        missed = set(wanted.tolist()) - set(model({"q": query})["i"][0].tolist())
    except DependencyDown as error:
        report(f"retrieval runs in numpy: {error.detail}")
        return exact
    if len(missed) > LOST_NEIGHBOURS:
        report(f"retrieval runs in numpy: the graph misses {len(missed)} of the {len(wanted)} nearest items")
        return exact
    return model


def scan(item_vectors: Floats, limit: int) -> Model:
    """Exact retrieval with the graph's tensors: q (1, D) -> v, i (1, K)."""
    count = min(limit, len(item_vectors))

    def run(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        scores = item_vectors @ feed["q"][0]  # (I,)
        best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.argsort(-scores[best], kind="stable")].astype(np.int64)
        return {"v": scores[best][None], "i": best[None]}

    return run


def _check_shapes(bundle: Bundle) -> None:
    """Every array that has a row an item has exactly one for each."""
    count = bundle.count_items
    rows = {
        names.ITEM_VECTORS: bundle.item_vectors,
        names.SESSION_ITEM_VECTORS: bundle.session_item_vectors,
        names.CO_PURCHASE: bundle.co_purchase.rows,
        names.DISCOVERY: bundle.discovery.log_tried,
        names.PRIOR: bundle.prior.log_share,
        names.SESSION_INDEX: bundle.session_index.item_offsets[:-1],
    }
    table = {f"{names.ITEM_TABLE}/{entry.name}": getattr(bundle.items, entry.name) for entry in fields(ItemTable)}
    vocabularies = {f"{names.ITEM_TABLE}/{name}" for name in ("categories", "departments", "brands")}
    for name, array in {**rows, **table}.items():
        if name not in vocabularies and len(array) != count:
            raise ArtifactRefused(f"{name} has {len(array)} rows, expected one for each of {count} items")
    if isinstance(bundle.catalogue, LineCatalogue) and bundle.catalogue.count_items != count:
        raise ArtifactRefused(f"{names.CATALOGUE} has {bundle.catalogue.count_items} lines, expected {count}")
    if bundle.next_item is not None:
        _check_next_item(bundle.next_item, count)
    if bundle.lexical.count_items != count:
        raise ArtifactRefused(f"{names.LEXICAL} is of {bundle.lexical.count_items} items, expected {count}")
    if count and int(bundle.items.content_row.max()) >= len(bundle.content_vectors):
        raise ArtifactRefused(f"{names.ITEM_TABLE}/content_row points behind {names.CONTENT_VECTORS}")


def _check_next_item(model: NextItem, count: int) -> None:
    if len(model.log_share) != count:
        raise ArtifactRefused(f"{names.NEXT_ITEM} has {len(model.log_share)} items, expected {count}")
    if len(model.skip) != len(NEXT_ITEM_FEATURES):
        raise ArtifactRefused(f"{names.NEXT_ITEM} reads {len(model.skip)} features, expected {len(NEXT_ITEM_FEATURES)}")
