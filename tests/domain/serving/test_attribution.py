"""Tokens come back as they were issued, and nothing else passes."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.events import MAX_TOKEN_LENGTH
from recommender.domain.serving.attribution import Claims, issue, verify
from recommender.errors import InvalidInput

SECRET = b"a secret of the installation"
CLAIMS = Claims(
    recommendation_id="r_01",
    placement="pdp_similar",
    experiment="exp_default",
    config_version=3,
    epoch=17,
    variant="hybrid",
    propensity=0.41,
    item_ids=("SKU_1", "SKU_2"),
    issued_at=1_795_000_000,
    session_id="s_31",
    is_holdout=False,
)
IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128)


@given(session=IDS, items=st.lists(IDS, max_size=12), propensity=st.floats(0, 1), is_holdout=st.booleans())
def test_a_token_gives_back_the_claims_it_was_issued_for(
    session: str, items: list[str], propensity: float, is_holdout: bool
) -> None:
    claims = replace(CLAIMS, session_id=session, item_ids=tuple(items), propensity=propensity, is_holdout=is_holdout)

    read = verify(issue(claims, SECRET), SECRET)

    assert replace(read, item_ids=()) == replace(claims, item_ids=())
    assert all(read.covers(item) for item in items)
    assert not read.covers("an item that did not stand in the list")


def test_a_hundred_long_item_ids_still_fit_a_token_and_can_be_recognised() -> None:
    items = tuple(f"{'x' * 125}{n:03d}" for n in range(100))

    token = issue(replace(CLAIMS, item_ids=items), SECRET)

    assert len(token) <= MAX_TOKEN_LENGTH
    assert all(verify(token, SECRET).covers(item) for item in items)
    assert not verify(token, SECRET).covers("x" * 128)


@given(position=st.integers(0, 10_000), replacement=st.characters())
def test_a_token_with_any_other_character_is_refused(position: int, replacement: str) -> None:
    token = issue(CLAIMS, SECRET)
    at = position % len(token)
    if token[at] == replacement:
        return
    forged = token[:at] + replacement + token[at + 1 :]

    try:
        read = verify(forged, SECRET)
    except InvalidInput as refusal:
        assert refusal.code == "invalid_token"
    else:
        assert read == CLAIMS, "only the unused low bits of the last character may differ"


def test_a_token_that_was_issued_before_an_update_is_still_read() -> None:
    claims = replace(CLAIMS, segment="user", served_ms=31, degraded=True)
    values = json.loads(base64.urlsafe_b64decode(issue(claims, SECRET).split(".")[1] + "=="))
    payload = base64.urlsafe_b64encode(json.dumps(values[:11]).encode()).decode().rstrip("=")
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET, f"v1.{payload}".encode(), "sha256")).decode().rstrip("=")

    assert verify(issue(claims, SECRET), SECRET) == claims
    assert verify(f"v1.{payload}.{signature}", SECRET) == CLAIMS


@pytest.mark.parametrize("forged", ["", "v1", "v1..", "v2.a.b", "v1.é.é", "v1.W10.AAAA", "." * 4096])
def test_what_is_not_a_token_is_refused_with_its_place(forged: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        verify(forged, SECRET, pointer="/events/3/attribution_token")

    assert refusal.value.code == "invalid_token"
    assert refusal.value.problems[0].pointer == "/events/3/attribution_token"


def test_a_token_of_another_installation_is_refused() -> None:
    with pytest.raises(InvalidInput):
        verify(issue(CLAIMS, b"another secret"), SECRET)
