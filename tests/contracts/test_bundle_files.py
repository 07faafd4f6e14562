"""One table names the files of a bundle; what reads and what writes them follows it."""

from __future__ import annotations

from dataclasses import MISSING, fields

from recommender.adapters.bundle import READERS, RECORDS
from recommender.contracts.artifacts import BUNDLE_FILES, REQUIRED_FILES, Kind
from recommender.domain.models.bundle import Bundle

TABLE = "layers/recommender/python/recommender/contracts/artifacts.py: BUNDLE_FILES"
BUNDLE = "layers/recommender/python/recommender/domain/models/bundle.py"


def test_every_field_of_the_bundle_has_its_file_and_every_file_its_field() -> None:
    filled = {file.field for file in BUNDLE_FILES if file.kind is not Kind.PART}

    assert {"bundle_id", *filled} == {field.name for field in fields(Bundle)}, f"make {TABLE} and {BUNDLE} agree"
    assert len(REQUIRED_FILES) == len(set(REQUIRED_FILES))


def test_only_the_next_item_network_may_be_absent_from_a_bundle_in_memory() -> None:
    assert [field.name for field in fields(Bundle) if field.default is not MISSING] == ["next_item"]


def test_every_kind_has_a_reader_and_every_record_a_dataclass() -> None:
    assert set(READERS) == set(Kind) - {Kind.PART}, "layers/recommender/python/recommender/adapters/bundle.py: READERS"
    records = {file.field for file in BUNDLE_FILES if file.kind is Kind.RECORD}
    assert records <= set(RECORDS), f"type the field with its frozen dataclass in {BUNDLE}"


def test_a_part_is_read_with_the_file_that_has_it_beside() -> None:
    whole = {file.beside: file.field for file in BUNDLE_FILES if file.beside}

    for file in BUNDLE_FILES:
        assert file.beside in ("", *REQUIRED_FILES), f"{file.name} in {TABLE}"
        assert file.kind is not Kind.PART or whole[file.name] == file.field, f"{file.name} in {TABLE}"
