"""From a data set to runs of rows that travel."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from orchestrator.config.data import DataSource
from orchestrator.data.sources.chunks import cut, read_chunk
from orchestrator.data.sources.opening import identity
from orchestrator.errors import DataError


def write(path: Path, num_rows: int) -> Path:
    path.write_text("".join(f'{{"messages": {number}}}\n' for number in range(num_rows)))
    return path


def test_runs_follow_one_another_and_count_their_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 7)
    write(tmp_path / "b.jsonl", 2)
    chunks = list(cut(DataSource(path=str(tmp_path)), 3))
    assert [Path(chunk.file).name for chunk in chunks] == ["a.jsonl"] * 3 + ["b.jsonl"]
    assert [chunk.first_row for chunk in chunks] == [1, 4, 7, 1]
    assert [len(list(read_chunk(chunk))) for chunk in chunks] == [3, 3, 1, 2]


def test_a_run_is_small_and_travels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 1)
    source = DataSource.model_validate({"path": str(path), "columns": {"images": "pics"}})
    (chunk,) = cut(source)
    assert pickle.loads(pickle.dumps(chunk)) == chunk
    assert len(pickle.dumps(chunk)) < 1000
    assert json.loads(json.dumps(asdict(chunk)))["form"]["columns"] == [["images", "pics"]]


def test_a_relative_path_means_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", 1)
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "./a.jsonl", f"file://{path}"):
        (chunk,) = cut(DataSource(path=name))
        assert chunk.file == str(path)


def test_a_changed_file_is_another(tmp_path: Path) -> None:
    source = DataSource(path=str(write(tmp_path / "a.jsonl", 2)))
    before = list(cut(source))
    assert list(cut(source)) == before
    write(tmp_path / "a.jsonl", 3)
    (after,) = cut(source)
    assert after.identity != before[0].identity


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", ""), ("a.json", "[ ]"), ("a.json", ""), ("a.csv", "a,b\n")],
)
def test_a_data_set_without_rows_is_an_error(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match="holds no rows") as caught:
        list(cut(DataSource(path=str(path))))
    assert caught.value.where == str(path)


def test_a_file_that_changed_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 2)
    (chunk,) = cut(DataSource(path=str(path)))
    write(path, 3)
    with pytest.raises(DataError, match="changed while it was read"):
        list(read_chunk(chunk))


def test_a_file_that_went_away_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 1)
    (chunk,) = cut(DataSource(path=str(path)))
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        list(read_chunk(chunk))
    with pytest.raises(DataError, match="Is a directory"):
        list(read_chunk(replace(chunk, file=str(tmp_path), identity=identity(str(tmp_path)))))
