"""Parquet, and Arrow files and streams."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.data.sources import arrow_file, arrow_stream, parquet, spans
from orchestrator.data.sources.kinds import READERS
from orchestrator.errors import DataError

TURNS = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "描述"}]
ROWS = [
    {
        "id": number,
        "messages": TURNS,
        "images": [{"bytes": b"\xff\xd8\xff", "path": None}, {"bytes": None, "path": "a.jpg"}],
    }
    for number in range(7)
]


def write(path: Path, table: pa.Table, batch_rows: int = 3) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=batch_rows)
        return path
    make = pa.ipc.new_stream if "stream" in path.name else pa.ipc.new_file
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return path


NAMES = ["data.parquet", "data.arrow", "stream.arrow", "stream"]


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_plain_values_whatever_the_table(tmp_path: Path, name: str, read: Any) -> None:
    path = write(tmp_path / name, pa.Table.from_pylist(ROWS))
    assert [record.value for record in read(path)] == ROWS
    assert [record.row for record in read(path, rows=2)] == list(range(1, 8))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from([("parquet", parquet), ("arrow", arrow_file), ("stream", arrow_stream)]),
    st.integers(0, 30),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_any_runs_give_the_same_rows(
    tmp_path: Path, kind: tuple[str, Any], num_rows: int, batch_rows: int, rows_per_run: int
) -> None:
    name, reader = kind
    table = pa.table({"a": list(range(num_rows))}, schema=pa.schema([("a", pa.int64())]))
    path = str(write(tmp_path / f"data.{name}", table, batch_rows))
    found = [
        (record.row, record.value)
        for span in reader.cut(path, rows_per_run)
        for record in reader.read(path, span)
    ]
    assert found == [(number + 1, {"a": number}) for number in range(num_rows)]


@pytest.mark.parametrize(("name", "kind"), [
    ("data.parquet", "parquet"), ("data.arrow", "arrow_file"), ("stream.arrow", "arrow_stream"),
])  # fmt: skip
def test_a_run_ends_early_where_rows_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    for module in (parquet, arrow_file, spans):
        monkeypatch.setattr(module, "CHUNK_BYTES", 2000)
    rows = [{"image": bytes([number]) * 1000} for number in range(4)]
    table = pa.Table.from_pylist(rows)
    path = str(write(tmp_path / name, table, batch_rows=4))
    sizes = [span.stop - span.start for span in READERS[kind].cut(path, 256)]
    assert sizes == [1, 1, 1, 1]


@pytest.mark.parametrize("name", ["data.parquet", "data.arrow", "stream.arrow"])
def test_text_that_is_no_utf8_is_one_bad_row(tmp_path: Path, name: str, read: Any) -> None:
    good = pa.array([b"ok", b"\xff\xfe", b"ok"], pa.binary())
    text = pa.StringArray.from_buffers(3, good.buffers()[1], good.buffers()[2])
    path = write(tmp_path / name, pa.table({"messages": text}))
    assert [record.fault for record in read(path)] == [None, "is not UTF-8", None]


@pytest.mark.parametrize("name", ["data.parquet", "data.arrow", "stream.arrow"])
def test_a_table_that_is_cut_off_is_an_error_that_names_it(
    tmp_path: Path, name: str, read: Any
) -> None:
    path = write(tmp_path / name, pa.Table.from_pylist(ROWS))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="is broken") as caught:
        read(path)
    assert caught.value.where == str(path)
