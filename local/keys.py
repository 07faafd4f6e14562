"""Secrets of one state folder: made at random the first time, readable by the owner only, never shown in logs."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs attribution tokens, what a browser sends, and what signs admin requests."""

    signing_secret: str
    publishable_key: str
    access_key: str
    secret_key: str

    @property
    def publishable_key_digest(self) -> str:
        """What the functions are told of the publishable key."""
        return hashlib.sha256(self.publishable_key.encode()).hexdigest()


def load_or_make(path: Path) -> Keys:
    """The keys in `path`; where there are none, or they cannot be read, new ones."""
    try:
        return Keys(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return _make(path)


def _make(path: Path) -> Keys:
    keys = Keys(
        signing_secret=secrets.token_hex(32),
        publishable_key=f"pk_local_{secrets.token_hex(12)}",
        access_key=f"LOCAL{secrets.token_hex(8).upper()}",
        secret_key=secrets.token_hex(20),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(keys), file)
    return keys
