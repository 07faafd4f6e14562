"""Files into the warehouse: once, resumed, refused. One warehouse for all; every test has its own ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from recommender.errors import InvalidInput

from tests.warehouse.shop import rows_of
from warehouse.connect import DATABASE_FILES, Warehouse, open_local
from warehouse.load.delivery import Delivery, load_delivery

# pytest forgets between tests what open_local has told `warnings` for as long as the warehouse is open.
pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result:UserWarning")

NOW = datetime(2026, 3, 2, 12)
HEAD = "order_id,sku,customer_id,date,qty,unit_price\n"


@pytest.fixture(scope="module")
def shared(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("shared")
    (folder / DATABASE_FILES[0]).write_bytes(empty_database.read_bytes())
    with open_local(folder) as warehouse:
        yield warehouse


def orders(folder: Path, name: str, *, count: int = 5) -> Path:
    path = folder / f"{name}.csv"
    path.write_text(HEAD + "".join(f"{name},{n},s,2026-01-01,1,2.00\n" for n in range(count)) + f"{name},x,s\n")
    return path


def count_of(warehouse: Warehouse, name: str) -> tuple[int, int]:
    """Rows of an order in raw, and rejects of its file."""
    ((rows,),) = rows_of(warehouse, f"select count(*) from raw.purchases where order_id = '{name}'")
    ((rejects,),) = rows_of(warehouse, f"select count(*) from raw.rejects where source_file = '{name}.csv'")
    return rows, rejects


def test_the_same_content_again_is_skipped_under_whatever_name(shared: Warehouse, tmp_path: Path) -> None:
    path = orders(tmp_path, "twice")

    first = load_delivery(shared.connection, Delivery("purchases", path, NOW))
    again = path.rename(tmp_path / "renamed.csv")
    second = load_delivery(shared.connection, Delivery("purchases", again, NOW))

    assert (first.loaded, first.rejected, first.skipped) == (5, 1, False)
    assert (second.loaded, second.rejected, second.skipped) == (0, 0, True)
    assert count_of(shared, "twice") == (5, 1)


def test_a_load_that_was_interrupted_goes_on_without_doubles(shared: Warehouse, tmp_path: Path) -> None:
    delivery = Delivery("purchases", orders(tmp_path, "broken"), NOW, rows_at_once=2)

    def dies(part: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_delivery(shared.connection, delivery, on_part=dies)
    assert count_of(shared, "broken") == (2, 0)

    load_delivery(shared.connection, delivery)
    assert count_of(shared, "broken") == (5, 1)


def test_a_reject_is_kept_with_its_place_its_reason_and_its_content(shared: Warehouse, tmp_path: Path) -> None:
    path = orders(tmp_path, "kept")
    path.write_text(path.read_text() + "kept,y,s,never,1,2.00\n")
    load_delivery(shared.connection, Delivery("purchases", path, NOW))

    kept = rows_of(
        shared, "select row_number, reason, content, loaded_at from raw.rejects where source_file = 'kept.csv'"
    )

    assert sorted(kept)[0] == (7, "3 columns, the head has 6", "kept,x,s", NOW)
    assert [row[:2] for row in sorted(kept)[1:]] == [(8, "purchased_at: not a time")]


def test_a_file_of_which_most_rows_are_refused_loads_nothing(shared: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(HEAD + "wrong,1,s,2026-01-01,1,2\n" + "wrong,1,s,2026-01-01,-1,2\n" * 3)

    with pytest.raises(InvalidInput, match=r"3 of 4 rows refused \(3 x quantity"):
        load_delivery(shared.connection, Delivery("purchases", path, NOW))

    assert count_of(shared, "wrong") == (0, 0)


def test_a_column_that_nobody_expected_is_taken_along_and_named(shared: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text(
        "order_id,sku,customer_id,date,qty,unit_price,Sales Channel,email\nmore,1,s,2026-01-01,1,2,web,a@b.c\n"
    )

    outcome = load_delivery(shared.connection, Delivery("purchases", path, NOW))

    assert outcome.new_columns == ("sales_channel",)
    assert rows_of(shared, "select sales_channel from raw.purchases where order_id = 'more'") == [("web",)]


def test_an_empty_file_of_many_is_passed_over_and_one_that_is_named_is_refused(
    shared: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "none.csv"
    path.write_text(HEAD)

    outcome = load_delivery(shared.connection, Delivery("purchases", path, NOW, may_be_empty=True))
    assert (outcome.loaded, outcome.skipped) == (0, False)
