"""The standby lists: a few true lists from a small file, whatever else the file says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts.placements import DEFAULT, Placement
from recommender.domain.serving.standby import Standby, StandbyItem, standby_from_json, standby_lists
from recommender.errors import ArtifactRefused

A, B = StandbyItem("a", "Apples", "Fruit", 120), StandbyItem("b", "Bread", "Bakery", 250)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def plain(limit: int = 4, name: str = "p", **changes: Any) -> tuple[Placement, int]:
    return Placement(name, "Plain", "home", limit, "click", **changes), limit


def lists_of(standby: Standby, *asked: tuple[Placement, int], **changes: Any) -> list[list[str]]:
    facts: dict[str, Any] = {"left_out": frozenset(), "gone": frozenset(), "prices": {}, **changes}
    return [[item.item_id for item in shown.items] for shown in standby_lists(standby, asked, **facts)]


def test_what_is_written_is_read() -> None:
    standby = Standby({"a": A, "b": B}, {"p": ("b",)})

    assert standby_from_json(standby.to_json()) == standby


def test_a_placement_s_own_list_comes_first_and_no_item_stands_twice() -> None:
    standby = Standby({"a": A, "b": B}, {"p": ("b",)})

    assert lists_of(standby, plain(1), plain()) == [["b"], ["a"]]


def test_only_a_promise_that_is_true_of_anybody_is_kept() -> None:
    shown = standby_lists(
        Standby({"a": A}), [(one, 1) for one in DEFAULT], left_out=frozenset(), gone=frozenset(), prices={}
    )

    assert [one.name for one in shown if one.items] == ["Popular right now"]
    assert {placement.placement_id for placement, one in zip(DEFAULT, shown, strict=True) if one.hidden_reason} == {
        "home_continue",
        "pdp_bought_together",
        "pdp_recently_viewed",
    }


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"items": [{}]}', b'{"items": 3}', b"[" * 9999]
)
def test_a_file_without_an_item_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactRefused):
        standby_from_json(content)


def test_an_entry_that_is_no_item_is_passed_over_and_what_a_later_version_adds_too() -> None:
    whole = {"item_id": "a", "title": "Apples", "category": "Fruit", "price_cents": 120, "colour": "red"}
    wrong = [{**whole, "price_cents": cents} for cents in (1.5, "120", -1, True, 10**30)]
    body = {"items": [*wrong, {**whole, "title": None}, 7, whole], "lists": {"p": ["x", 3, "a"], "q": 5}, "later": {}}

    assert standby_from_json(json.dumps(body).encode()) == Standby({"a": A}, {"p": ("a",)})


@given(ANY | st.fixed_dictionaries({"items": ANY, "lists": ANY}))
def test_any_json_is_read_or_refused(body: Any) -> None:
    try:
        found = standby_from_json(json.dumps(body).encode())
    except ArtifactRefused:
        return
    assert lists_of(found, plain())
