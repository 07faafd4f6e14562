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


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23t02:50:00z", datetime(2026, 11, 23, 2, 50, tzinfo=UTC)),
        ("2026-11-23T02:50:00.1Z", datetime(2026, 11, 23, 2, 50, 0, 100_000, tzinfo=UTC)),
        ("2026-11-23T02:50:00.123456789-00:00", datetime(2026, 11, 23, 2, 50, 0, 123_456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T05:29:60.5+05:30", datetime(2017, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("0001-01-01T14:00:00+14:00", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str, moment: datetime) -> None:
    assert fields.read_time(text, "/t") == moment


@pytest.mark.parametrize(
    "text",
    [
        *("2026-W48-1", "20261130T231700Z", "2026-11-30T23:17:00+00:00:30", "2026-11-30", "2026-11-30T23:17Z"),
        *("2026-11-30 23:17:00Z", "2026-11-30T23:17:00", "2026-11-30T23:17:00,5Z", "2026-11-30T23:17:00+0100"),
        *("2026-11-30T24:00:00Z", "2026-11-30T23:60:00Z", "2026-11-30T23:17:61Z", "2026-11-30T12:00:60Z"),
        *("2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "2026-11-30T23:17:00+24:00", "2026-11-30T23:17:00+01:60"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:60Z", "２026-11-30T23:17:00Z"),
        *("2026-11-30T23:17:00Z\n", "2026-11-30T23:17:00.Z", "2026-11-30T23:17:00+-1:00"),
    ],
)
def test_what_is_no_moment_by_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="an RFC 3339 timestamp with a zone"):
        fields.read_time(text, "/t")


@pytest.mark.parametrize("value", ["x" * 1_000_000, ["x"] * 100_000, {"\ud800": 1}, "\ud800", 10**300, float("nan")])
def test_an_error_about_any_value_is_short_and_can_be_encoded(value: object) -> None:
    (found,) = fields.problem("/weights/" + str(value), value, "less").problems

    assert len(found.value.encode()) <= 80
    assert len(found.pointer.encode()) <= fields.MAX_POINTER + len("\\ud800")


def test_of_thousands_of_unknown_fields_the_first_are_named() -> None:
    with pytest.raises(InvalidInput) as refusal:
        fields.refuse_unknown({f"{n:05}\ud800" + "x" * 200: n for n in range(5_000)}, frozenset({"page"}), "")

    assert len(refusal.value.problems) == fields.MAX_PROBLEMS
    assert all(len(wrong.pointer.encode()) < 100 for wrong in refusal.value.problems)


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
