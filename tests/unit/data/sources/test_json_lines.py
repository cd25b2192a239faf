"""JSON Lines, row by row."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.data.sources import json_lines, opening, spans
from orchestrator.data.sources.record import Record

ROWS = [{"id": "a", "messages": "描述"}, {"id": "b", "messages": "\ud83d"}]


@pytest.mark.parametrize("name", ["data.jsonl", "data.NDJSON", "data.json", "data"])
def test_lines_are_read_whatever_the_file_is_called(
    tmp_path: Path, name: str, read: Any
) -> None:
    path = tmp_path / name
    path.write_text("\ufeff" + "\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    assert read(path) == [Record(1, ROWS[0]), Record(2, ROWS[1])]


def test_a_row_is_the_line_that_an_editor_shows(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"messages": 1}\r\n\n   \n{"messages": 2}\n')
    for rows in (1, 2, 3, 256):
        assert [(record.row, record.value) for record in read(path, rows)] == [
            (1, {"messages": 1}),
            (4, {"messages": 2}),
        ]


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
def test_a_bad_line_is_a_row_with_a_fault(
    tmp_path: Path, line: bytes, fault: str, read: Any
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"messages": 1}\n' + line + b'\n{"messages": 2}\n')
    first, bad, last = read(path)
    assert (first.value, last.value) == ({"messages": 1}, {"messages": 2})
    assert bad.value is None
    assert fault in str(bad.fault)


LINES = [
    b"",
    b"  ",
    b'{"a": 1}',
    b'{"a": "\xe6\x8f\x8f\\n\xe2\x80\xa8"}\r',
    b"{",
    b"\xff",
    b"7",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=30), st.integers(1, 9), st.integers(1, 40))
def test_any_lines_in_any_runs_give_the_same_rows(
    tmp_path: Path, lines: list[bytes], rows_per_run: int, block_bytes: int
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK_BYTES", block_bytes)
        spans = list(json_lines.cut(str(path), rows_per_run))
    found = [record for span in spans for record in json_lines.read(str(path), span)]
    rows = [row for row, line in enumerate(lines, start=1) if line.strip()]
    assert [record.row for record in found] == rows
    good = [record.value for record in found if record.fault is None]
    assert good == [json.loads(line) for line in lines if line[:2] == b'{"']


def test_a_packed_file_is_read_like_any_other(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode()))
    assert [record.value for record in read(path, rows=1)] == ROWS


def test_a_run_ends_early_where_rows_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "CHUNK_BYTES", 30)
    path = tmp_path / "data.jsonl"
    lines = [b"{}\n", b'{"a": "' + b"x" * 40 + b'"}\n', b"{}\n", b"{}\n"]
    path.write_bytes(b"".join(lines))
    found = [(one.first_row, one.stop) for one in json_lines.cut(str(path), 3)]
    assert found == [(1, 53), (3, 59)]
