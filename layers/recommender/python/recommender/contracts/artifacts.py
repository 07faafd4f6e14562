"""The bundle: one immutable, content-addressed set of model files that training publishes and serving loads.

Layout below the artifact root:
    bundles/<bundle_id>/manifest.json, bundles/<bundle_id>/<file>   never changed after publishing
    current.json, canary.json   {"bundle_id": …, "previous": …}: in force, to be tried out; flipped with If-Match
    current.copy.json   what current.json said when it was flipped last, for readers that cannot read it
    standby.json   a few lists with what a shop shows of their items, for when no bundle can be loaded
`bundle_id` is `<UTC date-time>-<first 12 hex of the SHA-256 over the manifest's file hashes>`.
Training and serving share nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from recommender.errors import ArtifactRefused

SCHEMA_VERSION: Final = 2  # 2: word index, next items, discovery and complements beside the files of version 1
CURRENT: Final = "current.json"
CANDIDATE: Final = "canary.json"
POINTERS: Final = (CURRENT, CANDIDATE)
CURRENT_COPY: Final = "current.copy.json"
STANDBY: Final = "standby.json"
MANIFEST: Final = "manifest.json"

ITEM_IDS: Final = "item_ids.npy"
CATALOGUE: Final = "catalogue.jsonl"
CATALOGUE_OFFSETS: Final = "catalogue_offsets.npy"
ITEM_TABLE: Final = "item_table.npz"
ITEM_VECTORS: Final = "item_vectors.npy"
CONTENT_VECTORS: Final = "content_vectors.npy"
SESSION_ITEM_VECTORS: Final = "session_item_vectors.npy"
PRIOR: Final = "prior.npz"
PREFERENCE: Final = "preference.npz"
SESSION_INDEX: Final = "session_index.npz"
CO_PURCHASE: Final = "co_purchase.npz"
COMPLEMENTS: Final = "complements.npz"
DISCOVERY: Final = "discovery.npz"
COHORTS: Final = "cohorts.npz"
FALLBACK: Final = "fallback.json"
USER_TOWER: Final = "user_tower.onnx"
SESSION_ENCODER: Final = "session_encoder.onnx"
RANKER: Final = "ranker.onnx"
RETRIEVAL: Final = "retrieval.onnx"
SESSION_RETRIEVAL: Final = "session_retrieval.onnx"
QUERY_ENCODER: Final = "query_encoder.onnx"
TOKENIZER: Final = "tokenizer.json"
LEXICAL: Final = "lexical.npz"
NEXT_ITEM: Final = "next_item.npz"


class Kind(StrEnum):
    """The reader that turns a file into a field of the Bundle (adapters/bundle.py: READERS)."""

    ARRAY = "array"  # .npy, mapped
    RECORD = "record"  # .npz of the frozen dataclass that the field is typed with
    MODEL = "model"  # .onnx
    RETRIEVAL = "retrieval"  # .onnx: nearest rows of the vectors in `beside`
    CATALOGUE = "catalogue"  # JSON lines, found by the offsets in `beside`
    LISTS = "lists"  # JSON: name -> item ids
    TEXT_ENCODER = "text encoder"  # .onnx, for what the tokenizer in `beside` makes of a text
    PART = "part"  # read with the file that has it beside


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of a bundle: the field of domain/models/bundle.py that it fills, and what cannot answer without it."""

    name: str
    field: str
    kind: Kind
    required_by: str
    beside: str = ""


# I items sorted by id, D width of the collaborative space, C of the content space, E of the session space, T texts
BUNDLE_FILES: Final = (
    BundleFile(ITEM_IDS, "item_ids", Kind.ARRAY, "every list"),  # (I,) bytes, sorted: an item's row everywhere below
    BundleFile(CATALOGUE, "catalogue", Kind.CATALOGUE, "every list", CATALOGUE_OFFSETS),  # I lines in row order
    BundleFile(CATALOGUE_OFFSETS, "catalogue", Kind.PART, "every list"),  # (I + 1,) int64 into the catalogue
    BundleFile(ITEM_TABLE, "items", Kind.RECORD, "every list"),  # static facts of each item
    BundleFile(ITEM_VECTORS, "item_vectors", Kind.ARRAY, "candidates, ranker"),  # (I, D) float32, L2-normalised
    BundleFile(CONTENT_VECTORS, "content_vectors", Kind.ARRAY, "similar items, search"),  # (T, C), L2-normalised
    BundleFile(SESSION_ITEM_VECTORS, "session_item_vectors", Kind.ARRAY, "next item"),  # (I, E), normalised
    BundleFile(PRIOR, "prior", Kind.RECORD, "every list"),  # popularity x recency, global and by context
    BundleFile(PREFERENCE, "preference", Kind.RECORD, "ranker"),  # mean and eigenbasis of the Gaussian
    BundleFile(SESSION_INDEX, "session_index", Kind.RECORD, "next item"),  # posting lists of the session-kNN
    BundleFile(CO_PURCHASE, "co_purchase", Kind.RECORD, "bought together"),  # items of the same orders
    BundleFile(COMPLEMENTS, "complements", Kind.RECORD, "ranker"),  # categories of the same orders
    BundleFile(DISCOVERY, "discovery", Kind.RECORD, "candidates, ranker"),  # first purchases, by taste
    BundleFile(COHORTS, "cohorts", Kind.RECORD, "the incumbent"),  # its 12 lists
    BundleFile(FALLBACK, "fallback", Kind.LISTS, "lists without a ranking"),  # placement id -> item ids
    BundleFile(USER_TOWER, "user_tower", Kind.MODEL, "candidates"),  # history, weights (1, L) -> user_vec (1, D)
    BundleFile(SESSION_ENCODER, "session_encoder", Kind.MODEL, "next item"),  # items (1, L) -> session_vec (1, E)
    BundleFile(RANKER, "ranker", Kind.MODEL, "every ranked list"),  # features -> score, click, cart, purchase: (C,)
    BundleFile(RETRIEVAL, "retrieval", Kind.RETRIEVAL, "candidates", ITEM_VECTORS),  # q (1, D) -> v, i (1, K)
    BundleFile(SESSION_RETRIEVAL, "session_retrieval", Kind.RETRIEVAL, "next item", SESSION_ITEM_VECTORS),  # q (1, E)
    BundleFile(QUERY_ENCODER, "encode_query", Kind.TEXT_ENCODER, "search", TOKENIZER),  # int8 -> text_vec (B, C)
    BundleFile(TOKENIZER, "encode_query", Kind.PART, "search"),
    BundleFile(LEXICAL, "lexical", Kind.RECORD, "search"),  # the words of the catalogue
    BundleFile(NEXT_ITEM, "next_item", Kind.RECORD, "next item"),  # the network that ranks a visit's next items
)
REQUIRED_FILES: Final = tuple(file.name for file in BUNDLE_FILES)


def file_key(bundle_id: str, name: str) -> str:
    """Where a file of a bundle is in the store."""
    return f"bundles/{bundle_id}/{name}"


@dataclass(frozen=True, slots=True)
class Pointer:
    """The content of a pointer file: a bundle, and the one that it replaced ("" for the first)."""

    bundle_id: str
    previous: str = ""

    def to_json(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self)).encode()


def pointer_from_json(content: bytes, name: str) -> Pointer:
    """Parse the pointer file `name`; raises ArtifactRefused. `previous` may be absent: then there was none."""
    try:
        body = json.loads(content)
        bundle_id, previous = body["bundle_id"], body.get("previous", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactRefused(f'{name} is not {{"bundle_id": …}}: {error!r}') from error
    return Pointer(plain_name(bundle_id, name), plain_name(previous, name) if previous else "")


def plain_name(name: object, source: str) -> str:
    """The name, if it stays within its folder; raises ArtifactRefused."""
    if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
        raise ArtifactRefused(f"{source} names {name!r}, expected a plain name")
    return name


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of an ONNX file; a None in `shape` is a free dimension."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file of the bundle."""

    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The identity, origin and evaluation of a bundle. Times are RFC 3339 UTC."""

    bundle_id: str
    created_at: str
    git_commit: str
    data_from: str
    data_until: str
    data_hash: str
    code_hash: str
    files: Mapping[str, FileSpec]
    features: tuple[str, ...]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Stable JSON: sorted keys, two spaces."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def manifest_from_json(text: str | bytes) -> Manifest:
    """Parse and check a manifest; raises ArtifactRefused for anything it does not understand."""
    try:
        body = json.loads(text)
        version = body.get("schema_version")
    except (ValueError, AttributeError) as error:
        raise ArtifactRefused(f"{MANIFEST} is not a JSON object: {error}") from error
    if version != SCHEMA_VERSION:
        raise ArtifactRefused(
            f"{MANIFEST} has schema_version {version!r}, expected {SCHEMA_VERSION}: {_remedy(version)}"
        )
    missing = [name for name in REQUIRED_FILES if name not in body.get("files", {})]
    if missing:
        raise ArtifactRefused(f"{MANIFEST} does not list {', '.join(missing)}")
    try:
        files = {name: _file_spec(entry) for name, entry in body.pop("files").items()}
        return Manifest(**{**body, "files": files, "features": tuple(body["features"])})
    except (KeyError, TypeError) as error:
        raise ArtifactRefused(f"{MANIFEST} lacks or does not know a field: {error}") from error


def _remedy(version: object) -> str:
    """Return the remedy for a bundle of another version."""
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return "it is newer than this code; deploy the code that it was published by"
    return "it was published by older jobs; publish a new bundle with this code's"


def _file_spec(entry: Mapping[str, Any]) -> FileSpec:
    return FileSpec(
        sha256=entry["sha256"],
        size_bytes=entry["size_bytes"],
        inputs=tuple(_tensor(tensor) for tensor in entry.get("inputs", ())),
        outputs=tuple(_tensor(tensor) for tensor in entry.get("outputs", ())),
    )


def _tensor(entry: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(entry["name"], entry["dtype"], tuple(entry["shape"]))
