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
from typing import Any, Final

from recommender.errors import ArtifactRefused

SCHEMA_VERSION: Final = 2  # 2: word index, next items, discovery and complements beside the files of version 1
CURRENT: Final = "current.json"
CANDIDATE: Final = "canary.json"
POINTERS: Final = (CURRENT, CANDIDATE)
CURRENT_COPY: Final = "current.copy.json"
STANDBY: Final = "standby.json"
MANIFEST: Final = "manifest.json"

# I items sorted by id, D width of the collaborative space, C width of the content space, T distinct texts
ITEM_IDS: Final = "item_ids.npy"  # (I,) bytes, sorted: the row of an item everywhere below
CATALOGUE: Final = "catalogue.jsonl"  # I lines in row order: item_id, title, description, category, brand, price_cents
CATALOGUE_OFFSETS: Final = "catalogue_offsets.npy"  # (I + 1,) int64 byte offsets into the catalogue
ITEM_VECTORS: Final = "item_vectors.npy"  # (I, D) float32, L2-normalised
CONTENT_VECTORS: Final = "content_vectors.npy"  # (T, C) float32, L2-normalised
ITEM_TABLE: Final = "item_table.npz"  # ItemTable: static facts per item
PRIOR: Final = "prior.npz"  # Prior: popularity x recency, global and per context
PREFERENCE: Final = "preference.npz"  # PreferencePrior: mean and eigenbasis of the Gaussian
SESSION_INDEX: Final = "session_index.npz"  # SessionIndex: session-kNN posting lists
NEXT_ITEM: Final = "next_item.npz"  # NextItem: the network that ranks what a visit looks at next
CO_PURCHASE: Final = "co_purchase.npz"  # Neighbours: items bought together
COMPLEMENTS: Final = "complements.npz"  # Complements: categories that go together in an order
DISCOVERY: Final = "discovery.npz"  # Discovery: what is bought for the first time, and by what taste
COHORTS: Final = "cohorts.npz"  # Cohorts: the incumbent's 12 lists
RANKER_SPEC: Final = "ranker.json"  # feature names, normalisation constants, temperature
FALLBACK: Final = "fallback.json"  # placement id -> item ids
QUERY_ENCODER: Final = "query_encoder.onnx"  # int8; input_ids, attention_mask -> text_vec (B, C)
TOKENIZER: Final = "tokenizer.json"
LEXICAL: Final = "lexical.npz"  # LexicalIndex: the words of the catalogue, for queries
USER_TOWER: Final = "user_tower.onnx"  # history (1, L) rows, weights (1, L) -> user_vec (1, D)
SESSION_ENCODER: Final = "session_encoder.onnx"  # items (1, L) rows -> session_vec (1, E)
SESSION_ITEM_VECTORS: Final = "session_item_vectors.npy"  # (I, E) float32, normalised: space of the session encoder
RANKER: Final = "ranker.onnx"  # features (C, F) -> score, click, cart, purchase: (C,) each
SESSION_RETRIEVAL: Final = "session_retrieval.onnx"  # q (1, E) -> v (1, K), i (1, K): nearest to a visit
RETRIEVAL: Final = "retrieval.onnx"  # q (1, D) -> v (1, K), i (1, K)
REQUIRED_FILES: Final = (
    ITEM_IDS,
    CATALOGUE,
    CATALOGUE_OFFSETS,
    ITEM_VECTORS,
    CONTENT_VECTORS,
    ITEM_TABLE,
    PRIOR,
    PREFERENCE,
    SESSION_INDEX,
    NEXT_ITEM,
    CO_PURCHASE,
    COMPLEMENTS,
    DISCOVERY,
    COHORTS,
    RANKER_SPEC,
    FALLBACK,
    QUERY_ENCODER,
    TOKENIZER,
    LEXICAL,
    USER_TOWER,
    SESSION_ENCODER,
    SESSION_ITEM_VECTORS,
    SESSION_RETRIEVAL,
    RANKER,
    RETRIEVAL,
)


def file_key(bundle_id: str, name: str) -> str:
    """Where a file of a bundle is in the store."""
    return f"bundles/{bundle_id}/{name}"


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer file says: a bundle, and the one that it replaced ("" for the first)."""

    bundle_id: str
    previous: str = ""

    def to_json(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self)).encode()


def pointer_from_json(content: bytes, name: str) -> Pointer:
    """Parse the pointer file `name`; raises ArtifactRefused. One that says nothing of a previous bundle had none."""
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
    """What the bundle is, how it was made and how it did. Times are RFC 3339 UTC."""

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
    """What to do about a bundle of another version."""
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
