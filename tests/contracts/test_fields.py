"""Readers return a checked value or name the field, what was found and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.contracts import fields
from recommender.errors import FieldProblem, InvalidInput


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda: fields.read_object([], "/page"), FieldProblem("/page", "[]", "an object")),
        (lambda: fields.read_list({}, "/events", at_most=3), FieldProblem("/events", "{}", "an array")),
        (
            lambda: fields.read_list([1, 2], "/events", at_most=1),
            FieldProblem("/events", "'2 elements'", "at most 1", "too_many"),
        ),
        (
            lambda: fields.read_text("\ud800", "/visitor_id"),
            FieldProblem("/visitor_id", "'\\ud800'", "a non-empty string of at most 128 characters"),
        ),
        (lambda: fields.read_flag("yes", "/visible"), FieldProblem("/visible", "'yes'", "true or false")),
        (
            lambda: fields.read_integer(True, "/limit", low=1, high=5),
            FieldProblem("/limit", "True", "an integer from 1 to 5"),
        ),
        (
            lambda: fields.read_integer(2.0, "/limit", low=1, high=5),
            FieldProblem("/limit", "2.0", "an integer from 1 to 5"),
        ),
        (
            lambda: fields.read_cents(-1, "/price"),
            FieldProblem("/price", "-1", "a price from 0 to 999999999"),
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_the_expectation(
    read: Callable[[], object], expected: FieldProblem
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read()

    assert refusal.value.problems == [expected]


def test_a_time_without_a_zone_is_refused_because_it_could_be_any_moment() -> None:
    with pytest.raises(InvalidInput, match="RFC 3339"):
        fields.read_time("2026-11-23T02:50:00", "/event_time")


def test_a_time_of_any_zone_is_read_as_utc() -> None:
    assert fields.read_time("2026-11-23T02:50:00+01:00", "/t") == datetime(2026, 11, 23, 1, 50, tzinfo=UTC)


@given(st.integers(0, 99_999_999_999))
def test_cents_survive_the_trip_through_a_decimal_price(cents: int) -> None:
    assert fields.read_cents(cents / 100, "/price") == cents


def test_every_unknown_field_is_named() -> None:
    with pytest.raises(InvalidInput) as refusal:
        fields.refuse_unknown({"page": 1, "pgae": 2, "evnets": 3}, frozenset({"page"}), "/body")

    assert [(wrong.pointer, wrong.code) for wrong in refusal.value.problems] == [
        ("/body/evnets", "unknown_field"),
        ("/body/pgae", "unknown_field"),
    ]


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(fields.problem("/a", "x" * 1000, "less").problems[0].value) == 80
