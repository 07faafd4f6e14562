"""Attribution tokens: what was shown, signed, so that a reward needs no look-up and cannot be forged.

A token is `v1.<base64url JSON array of the claims>.<base64url HMAC-SHA256>`. It names its session, so
that a reward from another session is refused and exactly-once needs only the session item. The claims
carry the exposure's epoch and variant: a click is booked there, whatever is in force when it arrives.

Decisions: docs/decisions/serving.md (002), docs/decisions/experiments-operation.md (134).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, fields
from typing import Any, Final

from recommender.contracts.fields import problem

VERSION: Final = "v1"
ITEM_BYTES: Final = 2000  # ids beyond this are carried as digests, so that a token stays below MAX_TOKEN_LENGTH


@dataclass(frozen=True, slots=True)
class Claims:
    """One list as it was shown in one placement. `propensity` is the chance this variant had in its epoch."""

    recommendation_id: str
    placement: str
    experiment: str  # "" where no experiment ran
    config_version: int
    epoch: int
    variant: str
    propensity: float
    item_ids: tuple[str, ...]  # in order of position; digests where the ids would be too long for a token
    issued_at: int  # epoch seconds
    session_id: str
    is_holdout: bool = False
    segment: str = ""  # what was known of the visitor: the personalization level; "" in tokens of an older version
    served_ms: int = 0  # from the request to this signature
    degraded: bool = False  # something was missing when the list was made

    def covers(self, item_id: str) -> bool:
        """True where the item stood in the list."""
        return self.position(item_id) is not None

    def position(self, item_id: str) -> int | None:
        """Where the item stood in the list, from 0; None where it did not."""
        for name in (item_id, _digest(item_id)):
            if name in self.item_ids:
                return self.item_ids.index(name)
        return None


def issue(claims: Claims, secret: bytes) -> str:
    """The signed token of these claims."""
    values = [getattr(claims, name) for name in _FIELDS]  # astuple would copy every item id
    if sum(len(item_id.encode()) + 3 for item_id in claims.item_ids) > ITEM_BYTES:
        values[_ITEM_IDS] = [_digest(item_id) for item_id in claims.item_ids]
    payload = _encode(_to_json(values).encode())
    return f"{VERSION}.{payload}.{_encode(_signature(payload, secret))}"


def verify(token: str, secret: bytes, *, pointer: str = "/attribution_token") -> Claims:
    """The claims of a token that was signed with `secret`; raises InvalidInput `invalid_token` for any other."""
    version, _, rest = token.partition(".")
    payload, _, signature = rest.partition(".")
    if (
        not token.isascii()
        or version != VERSION
        or not hmac.compare_digest(_decode(signature), _signature(payload, secret))
    ):
        raise problem(pointer, token, "a token of this API, passed back unchanged", "invalid_token")
    values = json.loads(_decode(payload))
    values[_ITEM_IDS] = tuple(values[_ITEM_IDS])
    return Claims(*values)


_FIELDS: Final = tuple(field.name for field in fields(Claims))
_ITEM_IDS: Final = _FIELDS.index("item_ids")
_to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # json.dumps would make it anew


def to_record(claims: Claims) -> dict[str, Any]:
    """The claims as they travel beside an accepted event in the session's outbox."""
    return {field.name: getattr(claims, field.name) for field in fields(claims)}


def _digest(item_id: str) -> str:
    return "#" + _encode(hashlib.blake2b(item_id.encode(), digest_size=8).digest())


def _signature(payload: str, secret: bytes) -> bytes:
    return hmac.new(secret, f"{VERSION}.{payload}".encode(), hashlib.sha256).digest()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """The bytes of unpadded base64url; b"" for what is not base64, which no signature equals."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
