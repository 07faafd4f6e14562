"""Where exports are kept: a folder, or a prefix on S3. A reader finds the old export, none, or the new one.

Exports of days lie side by side, each whole. What a day has in common with the one before is linked or copied by the
store itself, so a night writes a few months and not three years. The manifest comes last.

Decisions: docs/decisions/schedule.md (181).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from recommender.contracts.exports import EXPORTS, MANIFEST, ExportManifest, Part, parse_manifest, read_whole_export
from recommender.contracts.folders import MARKER
from recommender.errors import ArtifactRefused, Conflict

KEPT_DAYS: Final = 14  # of folders; on S3 the bucket's lifecycle has the same
LOOKED_AT: Final = 7  # exports before this one, until one is whole
CHUNK: Final = 1 << 20
PART: Final = re.compile(rf"({'|'.join(EXPORTS)})/v\d+/.+\.parquet")  # of any version, below the root


class FolderRoot:
    """A folder; everything is written beside it and moved in place at the end."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self._root, self.scratch = root, scratch
        self._source = root

    def before(self) -> ExportManifest | None:
        """The export that stands there, else that of the newest day before, where it is whole."""
        siblings = earlier_days(self._root.name, (path.name for path in self._root.parent.iterdir()))
        for source in (self._root, *(self._root.parent / name for name in siblings)):
            with suppress(ArtifactRefused):
                manifest = read_whole_export(source)
                self._source = source
                return manifest
        return None

    def keep(self, part: Part) -> None:
        """Take over a part of the export before."""
        old, new = self._source / part.path, self.scratch / part.path
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            new.hardlink_to(old)
        except OSError:  # a file system without links
            shutil.copyfile(old, new)

    def add(self, file: Path, path: str) -> None:
        """Take over a file that was written in `scratch`."""
        (self.scratch / path).parent.mkdir(parents=True, exist_ok=True)
        file.rename(self.scratch / path)

    def finish(self, manifest: ExportManifest) -> None:
        """Put the new export in the place of the old one."""
        (self.scratch / MANIFEST).write_text(manifest.to_json())
        self.scratch.chmod(0o755)
        if not self._root.exists():
            self.scratch.rename(self._root)
            return
        old = Path(tempfile.mkdtemp(prefix=f".{self._root.name}-old-", dir=self._root.parent))
        self._root.rename(old / self._root.name)
        self.scratch.rename(self._root)
        shutil.rmtree(old)


class S3Root:
    """A prefix of a bucket. Objects appear whole, the manifest last; parts that it does not list go after it."""

    def __init__(self, s3: Any, address: str, scratch: Path) -> None:
        self.address, self.scratch = address.rstrip("/"), scratch
        parts = urlsplit(self.address)
        self._s3, self._bucket, self._prefix = s3, parts.netloc, parts.path.strip("/")
        self._source = self._prefix
        self._there = self._keys(self._prefix)

    def before(self) -> ExportManifest | None:
        """The export under the prefix, else that of the newest day before, where all its parts are there."""
        parent, _, name = self._prefix.rpartition("/")
        siblings = earlier_days(name, self._folders(f"{parent}/" if parent else ""))
        for source in (self._prefix, *(f"{parent}/{day}" if parent else day for day in siblings)):
            keys = self._there if source == self._prefix else self._keys(source)
            if f"{source}/{MANIFEST}" not in keys:
                continue
            with suppress(ArtifactRefused):
                body = self._s3.get_object(Bucket=self._bucket, Key=f"{source}/{MANIFEST}")["Body"].read()
                manifest = parse_manifest(body.decode(), f"s3://{self._bucket}/{source}/{MANIFEST}")
                if all(f"{source}/{part.path}" in keys for part in manifest.parts):
                    self._source = source
                    return manifest
        return None

    def keep(self, part: Part) -> None:
        """Let S3 copy a part of the export before, unless it is there."""
        key = f"{self._prefix}/{part.path}"
        if key not in self._there:
            source = {"Bucket": self._bucket, "Key": f"{self._source}/{part.path}"}
            self._s3.copy(source, self._bucket, key)  # in pieces where it is large

    def add(self, file: Path, path: str) -> None:
        """Upload a file that was written in `scratch`."""
        self._s3.upload_file(str(file), self._bucket, f"{self._prefix}/{path}")
        file.unlink()

    def hash_of(self, path: str) -> str:
        """SHA-256 of an object, read through."""
        digest = hashlib.sha256()
        body = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{path}")["Body"]
        for chunk in body.iter_chunks(CHUNK):
            digest.update(chunk)
        return digest.hexdigest()

    def finish(self, manifest: ExportManifest) -> None:
        """Write the manifest, then delete the parts that an earlier or a broken attempt left; nothing else is ours.

        Raises Conflict where a part is gone: another export to the same prefix was quicker and has tidied it up.
        """
        there, listed = self._keys(self._prefix), {f"{self._prefix}/{part.path}" for part in manifest.parts}
        if lost := sorted(listed - there):
            raise Conflict(f"{lost[0]} is gone: another export to {self.address} is at work; export again")
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"{self._prefix}/{MANIFEST}",
            Body=manifest.to_json().encode(),
            ContentType="application/json",
        )
        for key in sorted(there - listed):
            if PART.fullmatch(key.removeprefix(f"{self._prefix}/")):
                self._s3.delete_object(Bucket=self._bucket, Key=key)

    def _keys(self, prefix: str) -> set[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{prefix}/")
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def _folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below a prefix."""
        lister = self._s3.get_paginator("list_objects_v2")
        pages = lister.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return [name.removeprefix(prefix).rstrip("/") for name in found]


Root = FolderRoot | S3Root


@contextmanager
def folder_root(root: Path) -> Iterator[FolderRoot]:
    """A folder to export to; what is not finished leaves no trace."""
    if root.is_dir() and any(root.iterdir()):
        if not _is_export(root):
            raise Conflict(f"{root} is not an export and would be replaced; give an empty folder or remove it")
        known = {MANIFEST, MARKER, *EXPORTS}
        if foreign := sorted(path.name for path in root.iterdir() if path.name not in known):
            raise Conflict(f"{root} holds {foreign[0]} beside its export, and would be replaced; give another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        yield FolderRoot(root, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def s3_root(s3: Any, address: str) -> Iterator[S3Root]:
    """A prefix to export to; `s3` is a boto3 client."""
    with tempfile.TemporaryDirectory() as folder:
        yield S3Root(s3, address, Path(folder))


def earlier_days(name: str, others: Iterable[str]) -> list[str]:
    """Of the others those that are days before the day `name`, the newest first; none where `name` is no day."""
    if _day(name) is None:
        return []
    return sorted((other for other in others if _day(other) is not None and other < name), reverse=True)[:LOOKED_AT]


def remove_old_days(root: Path, *, kept_days: int = KEPT_DAYS) -> list[str]:
    """Delete exports of days beside `root`, the export of a day, that are so much older; their names."""
    newest = _day(root.name)
    if newest is None:
        return []
    oldest = newest - timedelta(days=kept_days)
    days = [path for path in root.parent.iterdir() if (day := _day(path.name)) is not None and day < oldest]
    old = sorted(path for path in days if not path.is_symlink() and _is_export(path))
    for path in old:
        shutil.rmtree(path)
    return [path.name for path in old]


def _is_export(folder: Path) -> bool:
    """True where the manifest is one of exports, of any version; other programs have a manifest.json, too."""
    try:
        body = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(body, dict) and {"files", "data_from", "data_until"} <= body.keys()


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name) if len(name) == len("2026-01-01") else None
    except ValueError:
        return None
