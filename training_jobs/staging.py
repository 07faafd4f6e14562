"""Stages the code of a SageMaker job: `training_jobs` and the recommender package side by side.

The staged folder is the working directory of `python -m training_jobs.<job>.train`. Its key in the bucket is the hash
of its content, so unchanged code leaves the pipeline definition unchanged.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE_PREFIX = "training/code"
REQUIREMENTS = "training_jobs/requirements.txt"  # inside the staged folder
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*")


def stage_code(target: Path) -> Path:
    """Copy the code that a job runs into the empty folder `target`."""
    shutil.copytree(ROOT / "training_jobs", target / "training_jobs", ignore=LEFT_OUT)
    package = ROOT / "layers" / "recommender" / "python" / "recommender"
    shutil.copytree(package, target / "recommender", ignore=LEFT_OUT)
    return target


def content_key(folder: Path) -> str:
    """`training/code/<16 hex>`: SHA-256 over the relative paths and bytes of all files, in order of path."""
    digest = hashlib.sha256()
    for file in files_in(folder):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return f"{CODE_PREFIX}/{digest.hexdigest()[:16]}"


def files_in(folder: Path) -> list[Path]:
    """All files below a folder in order of path, without byte code, whose bytes differ from machine to machine."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
