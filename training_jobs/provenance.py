"""Where a bundle comes from: the commit and the hash of the code that made it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import recommender

UNKNOWN = "unknown"


def git_commit(folder: Path) -> str:
    """The commit checked out in `folder`, with `-dirty` where files differ from it; "unknown" outside a repository."""
    head = _git(folder, "rev-parse", "HEAD")
    if not head:
        return UNKNOWN
    return f"{head}-dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else head


def code_hash() -> str:
    """SHA-256 over the paths and bytes of the Python files that train and serve."""
    digest = hashlib.sha256()
    for root in (Path(recommender.__file__).parent, Path(__file__).parent):
        for path in sorted(root.rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{root.name}/{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
