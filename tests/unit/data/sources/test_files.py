"""Files, folders, patterns, saved data sets and URLs."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import DataError
from tests.unit.data.sources.tars import write_tar


def line(number: int | str) -> str:
    return json.dumps({"messages": number}) + "\n"


def found(records: list[Any]) -> list[Any]:
    return [record.value["messages"] for record in records]


def test_a_folder_gives_its_data_files_by_name(tmp_path: Path, read: Any) -> None:
    (tmp_path / "b.jsonl").write_text(line(2))
    (tmp_path / "a.json").write_text(f"[{line(1)}]")
    (tmp_path / "c.csv").write_text("messages\n3\n")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / ".hidden.jsonl").write_text(line(0))
    (tmp_path / "images.jsonl.d").mkdir()
    assert found(read(tmp_path)) == [1, 2, "3"]


def test_a_pattern_gives_what_it_matches_by_name(tmp_path: Path, read: Any) -> None:
    for number in (2, 1, 3):
        (tmp_path / f"part-{number}.jsonl").write_text(line(number))
    assert found(read(tmp_path / "part-[12].jsonl")) == [1, 2]
    assert found(read(tmp_path / "part-?.jsonl")) == [1, 2, 3]
    with pytest.raises(DataError, match="matches no file"):
        read(tmp_path / "none-*")


def test_a_name_with_brackets_is_a_name_where_there_is_one(tmp_path: Path, read: Any) -> None:
    (tmp_path / "part-[1].jsonl").write_text(line(1))
    assert found(read(tmp_path / "part-[1].jsonl")) == [1]


def save(folder: Path, *names: str) -> Path:
    """Write what ``datasets.save_to_disk`` writes."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        table = pa.table({"messages": [number]})
        with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table)
    listed = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": listed, "_split": None}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"messages": {}}}))
    return folder


def test_a_saved_data_set_is_read_in_its_own_order(tmp_path: Path, read: Any) -> None:
    folder = save(tmp_path / "saved", "data-2.arrow", "data-1.arrow")
    assert found(read(folder)) == [0, 1]


def test_a_saved_data_set_without_a_file_of_its_own_is_an_error(
    tmp_path: Path, read: Any
) -> None:
    folder = save(tmp_path / "saved", "data-1.arrow", "data-2.arrow")
    (folder / "data-2.arrow").unlink()
    with pytest.raises(DataError, match="misses data files"):
        read(folder)


def test_a_saved_data_set_of_splits_names_them(tmp_path: Path, read: Any) -> None:
    save(tmp_path / "saved" / "train", "data-1.arrow")
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match=r"splits train, test.*saved/train"):
        read(tmp_path / "saved")
    assert found(read(tmp_path / "saved" / "train")) == [0]


@pytest.fixture
def bucket() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/bucket", recursive=True)


def test_urls_are_read_as_paths_are(bucket: Any, read: Any) -> None:
    for number in (2, 1):
        bucket.pipe(f"/bucket/part-{number}.jsonl", line(number).encode())
    for path in ("memory://bucket", "memory://bucket/part-*.jsonl", "memory://bucket/part-1*"):
        assert found(read(path))[0] == 1
    records = read("memory://bucket/part-2.jsonl")
    assert found(records) == [2]
    with pytest.raises(DataError, match="cannot be read") as caught:
        read("memory://bucket/none.jsonl")
    assert caught.value.where == "memory://bucket/none.jsonl"


@pytest.mark.parametrize(
    ("url", "reason"),
    [("s9://bucket/a.jsonl", "Protocol not known: s9"), ("oci://bucket/a", "ocifs")],
)
def test_a_store_that_nobody_knows_is_an_error(url: str, reason: str, read: Any) -> None:
    with pytest.raises(DataError, match=reason):
        read(url)


@pytest.mark.parametrize("files", [[], ["readme.md", "photo.jpg"]])
def test_a_folder_without_data_says_what_it_holds(
    tmp_path: Path, files: list[str], read: Any
) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=f"it holds {', '.join(sorted(files)) or 'nothing'}"):
        read(tmp_path)


def test_what_is_not_there_is_an_error_that_names_it(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "none.json")


def test_datasets_picks_from_a_dataset_info_only(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.jsonl").write_text(line(1))
    with pytest.raises(DataError, match=r"is no dataset_info\.json"):
        read(tmp_path / "a.jsonl", datasets=("a",))


@pytest.mark.parametrize("rows", [1, 256])
def test_every_kind_is_read_from_a_store_as_from_a_disk(
    tmp_path: Path, bucket: Any, rows: int, read: Any
) -> None:
    table = pa.table({"messages": list(range(5))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    for make, name in (pa.ipc.new_file, "b.arrow"), (pa.ipc.new_stream, "c.arrow"):
        with make(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    (tmp_path / "d.csv").write_text("messages\n0\n1\n")
    (tmp_path / "e.json").write_text(f"[{line(0)}, {line(1)}]")
    (tmp_path / "f.jsonl.gz").write_bytes(gzip.compress((line(0) + line(1)).encode()))
    write_tar(tmp_path / "g.tar", [(f"{key}.json", line(key).encode()) for key in "ab"])
    bucket.put(str(tmp_path), "/bucket/data", recursive=True)
    local = read(tmp_path, rows)
    assert len(local) == 23
    assert read("memory://bucket/data", rows) == local
