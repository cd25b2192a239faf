"""Columns that are mapped from a file."""

import gc
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from orchestrator.plan.columns import open_column

PLACES = np.array([3, 999, 0, 3, 70_000])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.npy"
    np.save(path, np.arange(1_000_000, dtype=np.int64) * 7)
    return path


def mapped_kib(file: Path) -> int:
    """Memory that a mapped file takes up in this process, in KiB."""
    maps = Path("/proc/self/smaps").read_text()
    found = re.search(r"^Rss:\s+(\d+) kB", maps[maps.index(str(file)) :], re.MULTILINE)
    assert found
    return int(found[1])


def num_open(file: Path) -> int:
    """How often this process has a file open, beside its mappings."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(link.readlink() == file for link in links)


@pytest.mark.parametrize("mode", ["r", "r+", "c", None])
def test_places_are_read_as_from_an_array(
    file: Path, mode: Literal["r", "r+", "c"] | None
) -> None:
    column = np.load(file, mmap_mode=mode)
    assert open_column(column)(PLACES).tolist() == (PLACES * 7).tolist()
    assert open_column(column[1:])(PLACES).tolist() == (PLACES * 7 + 7).tolist()
    assert open_column(column[::2])(PLACES).tolist() == (PLACES * 14).tolist()


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_a_column_keeps_its_type(tmp_path: Path, dtype: type[np.generic]) -> None:
    np.save(tmp_path / "cost.npy", np.arange(100_000).astype(dtype))
    found = open_column(np.load(tmp_path / "cost.npy", mmap_mode="r"))(PLACES)
    assert found.dtype == dtype
    assert found.tolist() == PLACES.tolist()


def test_reading_a_mapped_column_takes_no_memory_for_it(file: Path) -> None:
    column = np.load(file, mmap_mode="r")
    open_column(column)(PLACES)
    assert mapped_kib(file) == 0
    # Shows that the figure is one of this mapping.
    assert column[PLACES].any()
    assert mapped_kib(file) > 0


def test_a_column_is_read_on_when_its_file_is_replaced(file: Path) -> None:
    pick = open_column(np.load(file, mmap_mode="r"))
    file.unlink()
    np.save(file, np.zeros(10))
    assert pick(PLACES).tolist() == (PLACES * 7).tolist()


def test_what_was_changed_in_a_private_copy_is_read(file: Path) -> None:
    column = np.load(file, mmap_mode="c")
    column[3] = 1
    assert open_column(column)(PLACES)[0] == 1


def test_no_places_are_no_values(file: Path) -> None:
    assert open_column(np.load(file, mmap_mode="r"))(np.zeros(0, dtype=np.int64)).size == 0


def test_a_file_is_closed_when_nobody_reads_it_any_more(file: Path) -> None:
    column = np.load(file, mmap_mode="r")
    before = num_open(file)
    pick = open_column(column)
    assert num_open(file) == before + 1
    del pick
    gc.collect()
    assert num_open(file) == before
