"""Data files, row by row."""

import json
from pathlib import Path

import pytest

from orchestrator.config.data import DataSource
from orchestrator.data.sources import Record, read_records, records_to_table, table_to_records
from orchestrator.errors import DataError

ROWS = [{"id": "a", "text": "描述"}, {"id": "b", "half": "\ud83d"}]


def read(path: Path) -> list[Record]:
    return list(read_records(DataSource(path=str(path))))


@pytest.mark.parametrize("opening", ["", "\ufeff", "\n  "])
def test_a_json_list_gives_its_rows_counted_from_one(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(opening + json.dumps(ROWS), encoding="utf-8")
    assert read(path) == [Record(1, ROWS[0]), Record(2, ROWS[1])]


@pytest.mark.parametrize("name", ["data.jsonl", "data.NDJSON", "data.json", "data"])
def test_lines_are_read_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("\ufeff" + "\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    assert [record.value for record in read(path)] == ROWS


def test_a_row_is_the_line_that_an_editor_shows(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"id": "a"}\n\n   \n{"id": "b"}\n')
    assert [record.row for record in read(path)] == [1, 4]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"id": ', "is not JSON"),
        (b'{"id": "\xff"}', "not UTF-8 at byte 8"),
        (b"[1]", "is a JSON list, not an object"),
        (b'"text"', "is a JSON str, not an object"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_line_is_a_row_with_a_fault(tmp_path: Path, line: bytes, fault: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"id": "a"}\n' + line + b'\n{"id": "b"}\n')
    first, bad, last = read(path)
    assert (first.value, last.value) == ({"id": "a"}, {"id": "b"})
    assert bad.value is None
    assert fault in str(bad.fault)


@pytest.mark.parametrize("content", ["[1, ", '[{"id": 1},]'])
def test_a_broken_list_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(DataError, match="is not JSON") as caught:
        read(path)
    assert caught.value.where == str(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "none.json")


def test_rows_travel_through_a_table_unchanged() -> None:
    records = [Record(1, ROWS[0]), Record(3, None, "is not JSON"), Record(4, ROWS[1])]
    assert list(table_to_records(records_to_table(records))) == records
