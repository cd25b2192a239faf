"""The index on disk: written from blocks, opened without being read."""

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.index import Index, write_index
from orchestrator.data.places.location import Location
from orchestrator.data.rows import RenderMedium, SampleRow, rows_to_table
from orchestrator.errors import DataError
from orchestrator.plan.mix import Mix, Share
from orchestrator.plan.steps import Plan
from tests.unit.data.samples import sample_row


def good(row: int) -> SampleRow:
    """A sample of ``row`` modulo 5 pictures."""
    return sample_row(row, num_images=row % 5)


def bad(row: int) -> BadRow:
    return BadRow("data.jsonl", row, f"坏{row}", "image 'x' not found", "Put it there")


def blocks(num_rows: int, *, a_block: int, bad_every: int = 7) -> Iterator[pa.Table]:
    rows = [bad(row) if row % bad_every == 0 else good(row) for row in range(1, num_rows + 1)]
    for start in range(0, num_rows, a_block):
        yield rows_to_table(rows[start : start + a_block])


def build(folder: Path, num_rows: int, *, a_block: int = 50, bad_every: int = 7) -> Index:
    given = blocks(num_rows, a_block=a_block, bad_every=bad_every)
    return write_index(folder, given, source="data.jsonl", fingerprint="f")


@pytest.mark.parametrize("a_block", [10, 50, 1000])
def test_every_row_is_found_again_whatever_the_blocks(tmp_path: Path, a_block: int) -> None:
    build(tmp_path, 700, a_block=a_block)
    index = Index.open(tmp_path)
    wanted = [good(row) for row in range(1, 701) if row % 7]
    assert index.num_samples == len(wanted) == 600
    np.testing.assert_array_equal(index.cost_N, [row.cost for row in wanted])
    np.testing.assert_array_equal(index.tokens_N, [row.tokens for row in wanted])
    np.testing.assert_array_equal(index.patches_N, [row.patches for row in wanted])
    np.testing.assert_array_equal(index.label_tokens_N, [1] * 600)
    numbers = [599, 0, 255, 256, 511, 512]
    for number, row in zip(numbers, index.rows(numbers), strict=True):
        assert (row.sample, row.id) == (number, wanted[number].id)
        assert row.media == tuple(
            RenderMedium("image", Location(url, offset), ((16, 32),))
            for offset, url in enumerate(wanted[number].urls)
        )
        np.testing.assert_array_equal(row.ids_L, wanted[number].ids_L)
        np.testing.assert_array_equal(row.labels_L, wanted[number].labels_L)
        assert row.ids_L.dtype == np.int32


def test_every_bad_row_is_in_the_ledger(tmp_path: Path) -> None:
    index = build(tmp_path, 30)
    assert index.quarantine == [bad(7), bad(14), bad(21), bad(28)]
    assert "坏7" in (tmp_path / "quarantine.jsonl").read_text(encoding="utf-8")


def test_the_summary_adds_up(tmp_path: Path) -> None:
    summary = build(tmp_path, 30).summary
    wanted = [good(row) for row in range(1, 31) if row % 7]
    assert (summary.num_samples, summary.num_bad) == (26, 4)
    assert summary.num_images == sum(len(row.uris) for row in wanted)
    assert summary.image_tokens == sum(row.image_tokens for row in wanted)
    assert summary.patches == sum(row.patches for row in wanted)
    assert summary.longest == 10


def test_a_person_can_read_the_samples_table(tmp_path: Path) -> None:
    build(tmp_path, 30)
    table = pq.read_table(tmp_path / "samples.parquet")
    assert table.num_rows == 26
    assert {"id", "row", "uris", "widths", "tokens", "cost"} <= set(table.column_names)
    assert "ids_L" not in table.column_names


def test_an_index_without_bad_rows_has_an_empty_ledger(tmp_path: Path) -> None:
    assert build(tmp_path, 10, bad_every=99).quarantine == []


@pytest.mark.parametrize(
    ("num_rows", "problem"), [(0, "holds no rows"), (3, "not one of 3 rows")]
)
def test_no_good_row_is_an_error_and_the_ledger_is_there(
    tmp_path: Path, num_rows: int, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        build(tmp_path, num_rows, bad_every=1)
    lines = (tmp_path / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == num_rows
    with pytest.raises(DataError, match="holds no index"):
        Index.open(tmp_path)


def test_an_index_that_was_not_finished_leaves_the_one_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    build(folder, 10)

    def broken() -> Iterator[pa.Table]:
        yield rows_to_table([good(1)])
        raise RuntimeError("the machine is gone")

    with pytest.raises(RuntimeError):
        write_index(folder, broken(), source="data.jsonl", fingerprint="f")
    assert Index.open(folder).num_samples == 9
    assert list(tmp_path.iterdir()) == [folder]


def test_an_index_may_be_empty_where_that_is_an_answer(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    rows = rows_to_table([bad(1)])
    index = write_index(folder, [rows], source="d", fingerprint="f", may_be_empty=True)
    assert index.num_samples == 0
    plan = Plan(
        tokens_N=index.tokens_N, cost_N=index.cost_N, epochs=1, global_batch=4, micro_tokens=9,
        seed=None, mix=Mix((Share(0),)),
    )  # fmt: skip
    assert plan.num_steps == 0


def test_an_index_that_lost_a_file_is_none(tmp_path: Path) -> None:
    build(tmp_path, 10)
    (tmp_path / "rows.arrow").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        Index.open(tmp_path)


def test_an_index_that_is_open_outlives_its_successor(tmp_path: Path) -> None:
    first = build(tmp_path, 700)
    build(tmp_path, 10)
    assert first.sample(599).id == good(699).id
    assert first.cost_N[599] == 699 / 2


def test_data_sets_are_counted_one_by_one(tmp_path: Path) -> None:
    tables = [
        rows_to_table([sample_row(row, 1, source) for row in range(1, 4 + source)], source)
        for source in (0, 1)
    ]
    index = write_index(tmp_path, tables, source="two", num_sources=2, fingerprint="f")
    assert index.summary.by_source == (3, 4)
    assert Index.open(tmp_path).summary == index.summary


def test_a_data_set_of_which_nothing_can_be_used_is_named(tmp_path: Path) -> None:
    tables = [rows_to_table([good(1)]), rows_to_table([bad(1)], source=1)]
    with pytest.raises(DataError, match="data set 2 of 2 has no row"):
        write_index(tmp_path, tables, source="two", num_sources=2, fingerprint="f")


def test_a_mediums_pictures_are_its_own(tmp_path: Path) -> None:
    row = replace(
        sample_row(1, 5), kinds=("video", "image"), uris=("v", "i"), urls=("/v", "/i")
    )
    row = replace(row, offsets=(0, 10), lengths=(-1, 20), pictures=(4, 1))
    index = write_index(tmp_path, [rows_to_table([row])], source="s", fingerprint="f")
    target = (16, 32)
    assert index.sample(0).media == (
        RenderMedium("video", Location("/v"), (target,) * 4),
        RenderMedium("image", Location("/i", 10, 20), (target,)),
    )


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    build(tmp_path, 10)
    (tmp_path / "index.json").write_text(json.dumps({"num_samples": 9}))
    with pytest.raises(DataError, match="cannot be read"):
        Index.open(tmp_path)


def test_blocks_out_of_order_are_a_bug_and_not_another_numbering(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="order"):
        write_index(
            tmp_path,
            [rows_to_table([good(2), good(1)])],
            source="data.jsonl",
            fingerprint="f",
        )


def test_opening_takes_no_memory_that_grows_with_the_samples(tmp_path: Path) -> None:
    build(tmp_path, 5000, a_block=1000)
    tracemalloc.start()
    index = Index.open(tmp_path)
    used = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes()
    tracemalloc.stop()
    assert isinstance(index.cost_N, np.memmap)
    # 5,000 samples are 40 KB a column.
    assert used < 40_000


def test_equal_rows_make_equal_files(tmp_path: Path) -> None:
    build(tmp_path / "a", 300, a_block=10)
    build(tmp_path / "b", 300, a_block=299)
    for name in ("cost.npy", "tokens.npy", "index.json", "quarantine.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_images_are_counted_by_sample(tmp_path: Path) -> None:
    counts = [row % 5 for row in range(600)]
    rows = [sample_row(row, num_images) for row, num_images in enumerate(counts)]
    index = write_index(tmp_path / "i", [rows_to_table(rows)], source="d", fingerprint="f")
    assert index.count_images().tolist() == counts
