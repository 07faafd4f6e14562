"""What can go wrong around the system rather than in it; each is shown as one sentence, then the run ends."""

from __future__ import annotations


class LocalRunError(Exception):
    """The local run cannot go on; the message is one sentence that says why and what to do."""
