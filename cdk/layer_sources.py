"""What of our own package goes into its layer, and a digest by which a built layer is known to be of today's sources.

Standard library only: the build of the layers reads it where no CDK is installed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

NOT_SHIPPED: Final = ("**/__pycache__", "**/__pycache__/**", "**/*.pyc", "**/*.egg-info", "**/*.egg-info/**", "**/.*")
BUILT: Final = "recommender-layer"  # beside the built layer of third-party packages
DIGEST: Final = ".sources"  # in the built layer; not shipped


def sources(layer: Path) -> list[Path]:
    """List the files below `layers/recommender` that are shipped, without those of `NOT_SHIPPED`, in order of path."""
    return sorted(file for file in layer.rglob("*") if file.is_file() and _is_shipped(file.relative_to(layer)))


def digest_of(layer: Path) -> str:
    """SHA-256 over the paths and bytes of the sources."""
    digest = hashlib.sha256()
    for file in sources(layer):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(layer).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def is_current(built: Path, layer: Path) -> bool:
    """True where a layer was built, and from the sources as they are."""
    try:
        return (built / DIGEST).read_text().strip() == digest_of(layer)
    except OSError:
        return False


def _is_shipped(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info") for part in path.parts)
    return not hidden and path.suffix != ".pyc"
