"""The Parquet exports between warehouse and training: columns, order, and the manifest that lists their parts.

The warehouse unloads one folder per export, `<root>/<name>/v1/*.parquet`, and writes `manifest.json` beside them last;
a training job reads nothing else. A column is (name, arrow type as text). `shopper_id` is the user id, else the visitor
id. Version 2 of the manifest lists the parts of each export by month; version 1 has one file per export.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from recommender.errors import ArtifactRefused

EXPORT_VERSION: Final = "v1"
MANIFEST: Final = "manifest.json"
MANIFEST_VERSION: Final = 2
KNOWN_VERSIONS: Final = (1, MANIFEST_VERSION)  # a manifest without a version is of version 1
TIME: Final = "timestamp[us]"
ALL: Final = "all"  # the partition of an export without a time; of the others it is the month, as 2026-01

EXPORTS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    # grain: one line of an order; refunds are already taken off
    "purchases": (
        ("shopper_id", "string"),
        ("item_id", "string"),
        ("order_id", "string"),
        ("purchased_at", "timestamp[us]"),
        ("quantity", "int32"),
        ("price_cents", "int64"),  # paid for the whole line
    ),
    # grain: one item of the catalogue as of the export
    "items": (
        ("item_id", "string"),
        ("title", "string"),
        ("description", "string"),
        ("category", "string"),  # path, parts joined with " > "
        ("brand", "string"),
        ("price_cents", "int64"),  # regular price of one unit
        ("margin_share", "float32"),  # (price - cost) / price; see `margin_derived`
        ("margin_derived", "bool"),  # true where no cost is known and a documented rule stands in
        ("availability", "string"),  # in_stock, out_of_stock, preorder, backorder, discontinued
    ),
    # grain: one shopper
    "shoppers": (
        ("shopper_id", "string"),
        ("attributes", "string"),  # JSON object of text values; the incumbent's segments come from them
    ),
    # grain: one item of one event of one session, in order of event_time
    "session_events": (
        ("session_id", "string"),
        ("shopper_id", "string"),
        ("event_id", "string"),
        ("event_name", "string"),
        ("event_time", "timestamp[us]"),
        ("item_id", "string"),  # null for a search
        ("search_term", "string"),
        ("derived", "bool"),
    ),
    # grain: one item of one impression whose token was verified
    "impressions": (
        ("recommendation_id", "string"),
        ("session_id", "string"),
        ("placement", "string"),
        ("experiment", "string"),
        ("epoch", "int64"),
        ("variant", "string"),
        ("propensity", "float64"),
        ("item_id", "string"),
        ("index", "int32"),
        ("shown_at", "timestamp[us]"),
        ("clicked", "bool"),
    ),
    # grain: one search, with what was clicked before the session's next one
    "searches": (
        ("event_id", "string"),
        ("shopper_id", "string"),
        ("searched_at", "timestamp[us]"),
        ("search_term", "string"),
        ("clicked_item_id", "string"),  # null where nothing was, or no item of the catalogue
        ("clicked_position", "int32"),
        ("derived", "bool"),
    ),
    # grain: one review of an item in the catalogue
    "reviews": (
        ("review_id", "string"),
        ("item_id", "string"),
        ("shopper_id", "string"),
        ("rating", "int32"),  # 1 to 5
        ("text", "string"),
        ("reviewed_at", "timestamp[us]"),
        ("is_verified", "bool"),  # the shopper had ordered the item by then
    ),
    # grain: one item on one day (UTC, midnight) on which something happened to it
    "item_popularity": (
        ("day", "timestamp[us]"),
        ("item_id", "string"),
        ("count_views", "int64"),
        ("count_cart_additions", "int64"),
        ("count_orders", "int64"),
        ("count_units", "int64"),
        ("revenue_cents", "int64"),
        ("derived", "bool"),  # some of the views and cart additions were derived by a rule
    ),
}

# Columns that a shop may have: read where they are, and never asked for.
OPTIONAL_COLUMNS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "items": (("reviews", "string"),),  # what shoppers wrote of the item, all in one text
    # outcomes in the same session; who had no part in the experiment; what was known of the visitor
    "impressions": (
        ("visitor_id", "string"),
        ("is_holdout", "bool"),
        ("segment", "string"),
        ("carted", "bool"),
        ("purchased", "bool"),
    ),
}

# A total order for each export, so that the same rows give the same file; a time that comes first makes the months.
# A month that is written in parallel is several files, each in this order, and nothing is said across them.
ORDER: Final[dict[str, tuple[str, ...]]] = {
    "purchases": ("purchased_at", "order_id", "item_id"),
    "items": ("item_id",),
    "shoppers": ("shopper_id",),
    "session_events": ("event_time", "session_id", "event_id", "item_id"),
    "impressions": ("shown_at", "recommendation_id", "placement", "index", "item_id"),
    "searches": ("searched_at", "event_id", "shopper_id"),
    "reviews": ("reviewed_at", "review_id"),
    "item_popularity": ("day", "item_id"),
}


def time_of(name: str) -> str | None:
    """The column that makes the months of an export, if it has one: a time that comes first in its order."""
    first = ORDER[name][0]
    return first if dict(EXPORTS[name])[first] == TIME else None


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file; `path` is relative to the root, `fingerprint` the engine's sums over its rows."""

    partition: str  # its month, as 2026-01, or `all`
    rows: int
    sha256: str
    path: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One export: its parts in order of time, its columns as (name, type), and a hash over the parts' hashes."""

    rows: int
    sha256: str
    columns: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """Times are ISO 8601, UTC. `derived` is true where some rows come from a rule and not from a shop.

    The export holds every row that was loaded before `processed_until`.
    """

    created_at: str
    data_from: str
    data_until: str
    source: str
    derived: bool
    processed_until: str
    files: Mapping[str, ExportedFile]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of all exports."""
        return tuple(part for entry in self.files.values() for part in entry.parts)

    def date_range(self, where: str) -> tuple[datetime, datetime]:
        """The first and the last purchase, naive UTC. Raises ArtifactRefused, naming `where`, without purchases."""
        if not self.data_until:
            raise ArtifactRefused(f"{where} has no date range: the warehouse had no purchases when it was written")
        return _naive_utc(self.data_from), _naive_utc(self.data_until)

    def to_json(self) -> str:
        """Stable JSON: sorted keys, two spaces."""
        return json.dumps({"version": MANIFEST_VERSION, **asdict(self)}, indent=2, sort_keys=True) + "\n"


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_of_parts(parts: Iterable[Part]) -> str:
    """SHA-256 over the month and the hash of each part, in their order: none comes, goes or moves unseen."""
    return hashlib.sha256("".join(f"{part.partition} {part.sha256}\n" for part in parts).encode()).hexdigest()


def exported_file(columns: tuple[tuple[str, str], ...], parts: tuple[Part, ...]) -> ExportedFile:
    """The entry of an export in its manifest, counted and hashed from its parts."""
    return ExportedFile(sum(part.rows for part in parts), hash_of_parts(parts), columns, parts)


def read_manifest(root: Path, names: Iterable[str] = EXPORTS) -> ExportManifest:
    """Read and check the manifest below `root`, which lists the exports `names`. Raises ArtifactRefused.

    The files are not opened: `check_part` does that.
    """
    path = root / MANIFEST
    try:
        text = path.read_text()
    except (OSError, UnicodeError) as error:
        raise ArtifactRefused(f"{path} cannot be read: {error}; expected the warehouse's export") from error
    return parse_manifest(text, str(path), names)


def read_whole_export(root: Path) -> ExportManifest:
    """Read the manifest below `root` and check every file it lists. Raises ArtifactRefused."""
    manifest = read_manifest(root)
    for part in manifest.parts:
        check_part(root, part)
    return manifest


def parse_manifest(text: str, where: str, names: Iterable[str] = EXPORTS) -> ExportManifest:
    """Parse and check a manifest that lists the exports `names`. Raises ArtifactRefused, naming `where`."""
    try:
        body: dict[str, Any] = json.loads(text)
        version = body.get("version", 1)
        if version not in KNOWN_VERSIONS:
            raise ArtifactRefused(f"{where} is of version {version!r}, expected {KNOWN_VERSIONS}; export again")
        if missing := [name for name in ("data_from", "data_until", "files") if name not in body]:
            raise ArtifactRefused(f"{where} lacks {', '.join(missing)}")
        files = {name: _entry(entry) for name, entry in body["files"].items()}
        texts = ("created_at", "data_from", "data_until", "source", "processed_until")
        derived = bool(body.get("derived", False))
        manifest = ExportManifest(**{name: body.get(name) or "" for name in texts}, derived=derived, files=files)
        if manifest.data_until:
            manifest.date_range(where)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactRefused(f"{where} is not an export manifest: {type(error).__name__} {error}") from error
    if missing := [name for name in names if name not in files]:
        raise ArtifactRefused(f"{where} does not list {', '.join(missing)}; it lists {', '.join(sorted(files))}")
    for name, entry in files.items():
        _check_entry(where, name, entry, hashes_parts=version != 1)
    return manifest


def check_part(root: Path, part: Part) -> Path:
    """The path of a part whose file has the listed hash. Raises ArtifactRefused."""
    path = root / part.path
    if not path.is_file():
        raise ArtifactRefused(f"{path} does not exist, but {MANIFEST} lists it")
    if file_hash(path) != part.sha256:
        raise ArtifactRefused(f"{path} has another SHA-256 than {MANIFEST} lists: it was altered or cut")
    return path


def _entry(body: Mapping[str, Any]) -> ExportedFile:
    names = ("rows", "sha256", "path", "fingerprint")
    parts = tuple(
        Part(part.get("partition", ALL), **{name: part[name] for name in names if name in part})
        for part in body.get("parts", (body,))
    )
    columns = tuple((name, kind) for name, kind in body.get("columns", ()))
    return ExportedFile(int(body["rows"]), str(body["sha256"]), columns, parts)


def _check_entry(where: str, name: str, entry: ExportedFile, *, hashes_parts: bool) -> None:
    if not entry.parts:
        raise ArtifactRefused(f"{where} lists no part of {name}")
    for kind in ("path", "sha256"):  # the same rows under another name would count twice as well
        counts = Counter(getattr(part, kind) for part in entry.parts)
        if twice := sorted(value for value, count in counts.items() if count > 1):
            raise ArtifactRefused(f"{where} lists a part of {name} twice: {kind} {twice[0]}")
    for part in entry.parts:
        if Path(part.path).is_absolute() or ".." in Path(part.path).parts:
            raise ArtifactRefused(f"{where} lists {part.path}, expected a path below its folder")
    counted = sum(part.rows for part in entry.parts)
    if counted != entry.rows:
        raise ArtifactRefused(f"{where} lists {name} with {entry.rows} rows, but its parts have {counted}")
    if hashes_parts and hash_of_parts(entry.parts) != entry.sha256:
        months = ", ".join(part.partition for part in entry.parts)
        raise ArtifactRefused(f"{where}: the hash of {name} is not that of its parts {months}")


def _naive_utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
