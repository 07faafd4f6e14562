"""The files of a bundle on this machine: fetched once, checked every time.

A file is used only if its size and SHA-256 are those of the manifest. Files are renamed into the cache
when they are whole, so several processes may share one cache, and a process that dies leaves no half.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from recommender.adapters.folder import replace_file
from recommender.contracts.artifacts import (
    MANIFEST,
    FileSpec,
    Manifest,
    file_key,
    manifest_from_json,
    plain_name,
)
from recommender.errors import ArtifactRefused, DependencyDown, NotFound
from recommender.pointers import bundles_to_serve
from recommender.ports import ArtifactStore

PARALLEL_READS: Final = 8


def current_bundle_id(store: ArtifactStore) -> str:
    """The bundle in force. Raises NotFound where nothing was published, ArtifactRefused."""
    return bundles_to_serve(store)[0]


def read_manifest(store: ArtifactStore, bundle_id: str) -> Manifest:
    """The checked manifest. Raises ArtifactRefused where it is missing, unknown or of another bundle."""
    try:
        content = store.read(file_key(bundle_id, MANIFEST)).content
    except NotFound as error:
        raise ArtifactRefused(f"bundle {bundle_id} has no {MANIFEST}") from error
    manifest = manifest_from_json(content)
    if manifest.bundle_id != bundle_id:
        raise ArtifactRefused(f"{MANIFEST} of {bundle_id} names another bundle: {manifest.bundle_id}")
    for name in manifest.files:
        plain_name(name, MANIFEST)
    return manifest


def fetch(store: ArtifactStore, manifest: Manifest, cache_dir: Path) -> Mapping[str, Path]:
    """name -> checked local file of every file of the manifest. Raises ArtifactRefused, DependencyDown."""
    folder = cache_dir / manifest.bundle_id
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            paths = pool.map(
                lambda entry: _fetch_one(store, folder, manifest.bundle_id, *entry), manifest.files.items()
            )
            return dict(zip(manifest.files, paths, strict=True))
    except OSError as error:
        raise DependencyDown(f"the bundle cache {cache_dir} cannot be used: {error}") from error


def forget_all_but(cache_dir: Path, bundle_ids: set[str]) -> None:
    """Drop other bundles from the cache; processes that have them mapped keep their pages."""
    for folder in cache_dir.iterdir() if cache_dir.is_dir() else ():
        if folder.is_dir() and folder.name not in bundle_ids:
            shutil.rmtree(folder, ignore_errors=True)


def _fetch_one(store: ArtifactStore, folder: Path, bundle_id: str, name: str, spec: FileSpec) -> Path:
    path = folder / name
    if path.is_file() and path.stat().st_size == spec.size_bytes and _sha256(path) == spec.sha256:
        return path
    try:
        content = store.read(file_key(bundle_id, name)).content
    except NotFound as error:
        raise ArtifactRefused(f"{name} of bundle {bundle_id} is missing") from error
    if len(content) != spec.size_bytes:
        raise ArtifactRefused(f"{name} has {len(content)} bytes, the manifest has {spec.size_bytes}")
    if hashlib.sha256(content).hexdigest() != spec.sha256:
        raise ArtifactRefused(f"{name} has another SHA-256 than in the manifest: it was altered")
    replace_file(path, content)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
