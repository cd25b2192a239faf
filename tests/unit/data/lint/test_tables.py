"""Reading an index by column, in pieces, and single samples from anywhere in it."""

import pytest

from orchestrator.data.bad_sample import BadRow
from tests.unit.data.lint.conftest import WriteTables, sample


@pytest.mark.parametrize("a_group", [1, 3, 1000])
def test_samples_are_found_by_number_whatever_the_row_groups(
    write_tables: WriteTables, a_group: int
) -> None:
    tables = write_tables([sample(row) for row in range(1, 11)], a_group=a_group)
    assert tables.num_samples == 10
    rows = tables.rows([9, 0, 4, 5, 4], ("row", "uris"))
    assert {number: row["row"] for number, row in rows.items()} == {0: 1, 4: 5, 5: 6, 9: 10}
    assert rows[4]["uris"] == ["a.jpg", "b.jpg"]
    assert tables.rows([], ("row",)) == {}


@pytest.mark.parametrize("rows", [0, 7])
def test_a_column_of_numbers_is_read_whole(write_tables: WriteTables, rows: int) -> None:
    tables = write_tables([sample(row) for row in range(rows)])
    assert tables.numbers("row").tolist() == list(range(rows))


def test_bad_rows_come_in_their_order(write_tables: WriteTables) -> None:
    bad = [BadRow("a.jsonl", row, f"坏{row}", "no label", "Add it") for row in range(3)]
    assert list(write_tables([], bad).quarantine()) == bad
