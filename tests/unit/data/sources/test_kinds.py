"""Kinds of files, told by how they begin."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.data.sources.kinds import kind_of
from orchestrator.errors import DataError
from tests.unit.data.sources.tars import write_tar


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", b"\xef\xbb\xbf [", "json_list"),
        ("a", b"[]", "json_list"),
        ("a.jsonl", b"[1]", "json_lines"),
        ("a.json", b'{"a": 1}\n{"a": 2}', "json_lines"),
        ("a.json", b'{"a": \n{"a": 2}', "json_lines"),
        ("a.json", b"", "json_lines"),
        ("a.CSV", b"[a],b", "csv"),
        ("a.tsv", b"a\tb", "csv"),
        ("a.csv.gz", gzip.compress(b"a,b", mtime=0), "csv"),
        ("a.json.gz", gzip.compress(b"[1]", mtime=0), "json_list"),
    ],
)
def test_text_is_told_by_its_beginning_and_its_name(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(str(tmp_path / name)) == kind


def test_what_has_a_mark_of_its_own_is_told_whatever_its_name(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    pq.write_table(table, tmp_path / "a.json")
    assert kind_of(str(tmp_path / "a.json")) == "parquet"
    for make, kind in (pa.ipc.new_file, "arrow_file"), (pa.ipc.new_stream, "arrow_stream"):
        with make(str(tmp_path / kind), table.schema) as writer:
            writer.write_table(table)
        assert kind_of(str(tmp_path / kind)) == kind
    assert kind_of(str(write_tar(tmp_path / "a.csv", [("a.txt", b"")]))) == "tar"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"hello", "is of no kind that is read"),
        ("a.pkl", b"\x80\x04", "it begins with"),
        ("a", b"", "it is empty"),
        ("a.json", b"\xff\xfe[\0", "is UTF-16 text"),
        ("a.json", b'{\n  "data": []\n}', "is one JSON object"),
        ("a.jsonl.zst", b"\x28\xb5\x2f\xfd", "JSON Lines, CSV, Parquet, Arrow and tar"),
        (
            "a.tar.gz",
            gzip.compress(bytes(257) + b"ustar" + bytes(250), mtime=0),
            "is a packed tar",
        ),
    ],
)
def test_anything_else_is_an_error(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        kind_of(str(tmp_path / name))
