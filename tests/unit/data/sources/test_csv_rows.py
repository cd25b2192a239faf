"""CSV with a header."""

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.data.sources import csv_rows
from orchestrator.errors import DataError


def write(path: Path, rows: list[list[str]], **more: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **more).writerows(rows)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(*[st.text('",;\n\r a描', max_size=6)] * 2), max_size=9),
    st.integers(1, 4),
    st.sampled_from([",", ";", "\t"]),
)
def test_cells_with_breaks_and_quotes_come_back_in_any_runs(
    tmp_path: Path, rows: list[tuple[str, str]], rows_per_run: int, delimiter: str
) -> None:
    path = write(
        tmp_path / "a.csv",
        [["one", "two"], *map(list, rows)],
        delimiter=delimiter,
        quoting=csv.QUOTE_ALL,
    )
    found = [
        record
        for span in csv_rows.cut(str(path), rows_per_run)
        for record in csv_rows.read(str(path), span)
    ]
    assert [record.row for record in found] == list(range(1, len(rows) + 1))
    given = [{"one": one or None, "two": two or None} for one, two in rows]
    assert [record.value for record in found] == given


def test_lists_in_cells_are_read_as_json_and_as_pandas_writes_them(
    tmp_path: Path, read: Any
) -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    path = write(
        tmp_path / "data.csv",
        [
            ["messages", "images"],
            ['[{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]', ""],
            [str(turns), "['a.jpg', 'b.jpg']"],
            [str(turns), '["a.jpg"]'],
            [str(turns), "[1] a.jpg"],
        ],
    )
    assert [record.value for record in read(path)] == [
        {"messages": turns, "images": None},
        {"messages": turns, "images": ["a.jpg", "b.jpg"]},
        {"messages": turns, "images": ["a.jpg"]},
        {"messages": turns, "images": "[1] a.jpg"},
    ]


def test_a_cell_may_hold_an_image(tmp_path: Path, read: Any) -> None:
    cell = "A" * 300_000
    path = write(tmp_path / "data.csv", [["messages", "image"], ["x", cell]])
    assert read(path)[0].value["image"] == cell


def test_a_bad_row_is_one_row_with_a_fault(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(
        b'\xef\xbb\xbfinstruction,output\r\nq,a\r\nq\r\n\r\nq,"a"b\r\nq,\xff\r\nq,"a"\r\n'
    )
    records = read(path, rows=2)
    assert [record.row for record in records] == [1, 2, 3, 4, 5]
    faults = [record.fault for record in records]
    assert faults[0] is None
    assert faults[4] is None
    assert "has 1 cells, and the header 2 names" in str(faults[1])
    assert "is not CSV" in str(faults[2])
    assert "is not UTF-8" in str(faults[3])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no header"),
        ("a,,b\n1,2,3\n", "a column has no name"),
        ("a,a\n1,2\n", "two columns have one name"),
        ('messages,b\nx,y\nx,"y\nx,y\n', "quote in the row of line 3 that is never closed"),
    ],
)
def test_a_file_that_cannot_be_divided_into_rows_is_an_error(
    tmp_path: Path, content: str, reason: str, read: Any
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=reason):
        read(path)
