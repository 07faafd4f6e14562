"""From published files to the Bundle in memory.

Loading refuses what does not fit together: another feature list than the code computes, arrays of
different item counts, a model with other tensors than its manifest says. Big arrays are mapped, not read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.adapters.bundle_files import fetch, read_manifest
from recommender.adapters.onnx import OnnxModel, QueryEncoder
from recommender.contracts import artifacts as names
from recommender.contracts.artifacts import Manifest
from recommender.domain.models.arrays import Counts, Floats, from_npz
from recommender.domain.models.bundle import Bundle, Cohorts, ItemTable, Model, Neighbours
from recommender.domain.models.discovery import Complements, Discovery
from recommender.domain.models.next_item import NextItem
from recommender.domain.models.next_item_features import FEATURES as NEXT_ITEM_FEATURES
from recommender.domain.models.posterior import PreferencePrior
from recommender.domain.models.prior import Prior
from recommender.domain.models.search import LexicalIndex
from recommender.domain.models.session_knn import SessionIndex
from recommender.domain.serving.features import FEATURES
from recommender.errors import ArtifactRefused, DependencyDown, RecommenderError
from recommender.ports import ArtifactStore

CACHED_ITEMS: Final = 4096  # whose facts stay parsed, about a kilobyte each: pages show few items again and again
CHECKED_NEIGHBOURS: Final = 10
LOST_NEIGHBOURS: Final = 2  # of the ten, what an 8-bit scan may rank outside its whole list

T = TypeVar("T")
Report = Callable[[str], None]


def load_bundle(
    store: ArtifactStore, bundle_id: str, cache_dir: Path, *, report: Report = lambda message: None
) -> Bundle:
    """The bundle, every file checked. Raises ArtifactRefused, and DependencyDown where the store cannot answer.

    `report` hears of what was answered by a slower way, such as a retrieval graph this processor cannot run.
    """
    manifest = read_manifest(store, bundle_id)
    if manifest.features != FEATURES:
        changed = sorted(set(manifest.features) ^ set(FEATURES)) or ["their order"]
        raise ArtifactRefused(f"bundle {bundle_id} was trained on other features than this code: {', '.join(changed)}")
    paths = fetch(store, manifest, cache_dir)
    try:
        bundle = _assemble(manifest, paths, report)
        _check_shapes(bundle)
    except RecommenderError:
        raise
    except Exception as error:  # whatever a file makes its reader raise, the bundle is not one to serve from
        raise ArtifactRefused(f"bundle {bundle_id} cannot be read: {error!r}") from error
    return bundle


class LineCatalogue:
    """Display facts read from a mapped JSON-lines file by offset."""

    def __init__(self, lines: NDArray[np.uint8], offsets: Counts) -> None:
        """`lines` are the file's bytes; `offsets` (I + 1,) say where each line starts."""
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


def _assemble(manifest: Manifest, paths: Mapping[str, Path], report: Report) -> Bundle:
    def model(name: str) -> OnnxModel:
        spec = manifest.files[name]
        return OnnxModel(paths[name]).check(inputs=spec.inputs, outputs=spec.outputs)

    def record(kind: type[T], name: str) -> T:
        return from_npz(kind, paths[name].read_bytes())

    item_vectors = mapped(paths[names.ITEM_VECTORS])
    session_item_vectors = mapped(paths[names.SESSION_ITEM_VECTORS])
    fallback = {name: tuple(map(_text, ids)) for name, ids in json.loads(paths[names.FALLBACK].read_text()).items()}
    return Bundle(
        bundle_id=manifest.bundle_id,
        item_ids=mapped(paths[names.ITEM_IDS]),
        catalogue=LineCatalogue(
            np.asarray(np.memmap(paths[names.CATALOGUE], np.uint8, "r")), mapped(paths[names.CATALOGUE_OFFSETS])
        ),
        items=record(ItemTable, names.ITEM_TABLE),
        item_vectors=item_vectors,
        content_vectors=mapped(paths[names.CONTENT_VECTORS]),
        session_item_vectors=session_item_vectors,
        prior=record(Prior, names.PRIOR),
        preference=record(PreferencePrior, names.PREFERENCE),
        session_index=record(SessionIndex, names.SESSION_INDEX),
        co_purchase=record(Neighbours, names.CO_PURCHASE),
        complements=record(Complements, names.COMPLEMENTS),
        discovery=record(Discovery, names.DISCOVERY),
        cohorts=record(Cohorts, names.COHORTS),
        ranker_spec=json.loads(paths[names.RANKER_SPEC].read_text()),
        fallback=fallback,
        user_tower=model(names.USER_TOWER),
        session_encoder=model(names.SESSION_ENCODER),
        ranker=model(names.RANKER),
        retrieval=checked_retrieval(model(names.RETRIEVAL), item_vectors, report),
        encode_query=QueryEncoder.load(model(names.QUERY_ENCODER), paths[names.TOKENIZER]),
        next_item=record(NextItem, names.NEXT_ITEM),
        session_retrieval=checked_retrieval(model(names.SESSION_RETRIEVAL), session_item_vectors, report),
        lexical=record(LexicalIndex, names.LEXICAL),
    )


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
