"""From rows of the index to micro-batches, through Arrow and back."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orchestrator.data.micro_batch import Fault, MicroBatch
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.render import (
    Renderer,
    render,
    render_table,
    request_rows,
    request_table,
)
from orchestrator.data.rows import RenderMedium, RenderRow
from orchestrator.errors import StorageError

WriteImage = Callable[..., str]
MakeRow = Callable[..., RenderRow]
ADDRESS = (1, 2, 3)
TARGET = (32, 48)


@pytest.fixture
def row(tmp_path: Path) -> MakeRow:
    """Makes a row over images in ``tmp_path``."""

    def make(sample: int, *names: str) -> RenderRow:
        ids = [5, *[-1] * len(names), sample]
        return RenderRow(
            sample=sample,
            id=f"id {sample}",
            ids_L=np.array(ids, dtype=np.int32),
            labels_L=np.array([False] * (len(ids) - 1) + [True]),
            media=tuple(
                RenderMedium("image", Location(str(tmp_path / name)), (TARGET,))
                for name in names
            ),
        )

    return make


@pytest.fixture
def rows(row: MakeRow, write_image: WriteImage) -> list[RenderRow]:
    return [
        row(8, write_image("a.jpg", 300, 200), write_image("b.png", 48, 32)),
        row(3),
        row(5, write_image("c.jpg")),
    ]


def assert_same(one: MicroBatch, other: MicroBatch) -> None:
    for field in fields(MicroBatch):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_array_equal(ours, theirs, strict=isinstance(ours, np.ndarray))


def test_a_micro_batch_holds_its_samples_one_after_the_other(
    rows: list[RenderRow], tmp_path: Path, renderer: Renderer
) -> None:
    batch = render(rows, ADDRESS, renderer)
    assert (batch.address, batch.samples, batch.faults) == (ADDRESS, (8, 3, 5), ())
    assert batch.ids_L.tolist() == [5, -1, -1, 8, 5, 3, 5, -1, 5]
    assert batch.lengths_S.tolist() == [4, 2, 3]
    assert batch.images_S.tolist() == [2, 0, 1]
    assert batch.grids_I3.tolist() == [[1, 4, 6]] * 3
    assert batch.patches_PD.shape == (3 * 24, 192)
    assert batch.label_tokens == 3
    content = Content("b.png", Location(str(tmp_path / "b.png")))
    (pixels_HWC,) = renderer.kinds["image"].load(content, (TARGET,))
    np.testing.assert_array_equal(batch.patches_PD[24:48], renderer.coder.patches(pixels_HWC))


def test_a_broken_picture_empties_its_samples_slot_and_no_other(
    rows: list[RenderRow],
    row: MakeRow,
    tmp_path: Path,
    renderer: Renderer,
    write_image: WriteImage,
) -> None:
    path = tmp_path / write_image("broken.jpg", 300, 200)
    path.write_bytes(path.read_bytes()[:2000])
    batch = render([rows[0], row(9, "c.jpg", "broken.jpg"), *rows[1:]], ADDRESS, renderer)
    (fault,) = batch.faults
    assert (fault.sample, fault.id) == (9, "id 9")
    assert "'broken.jpg' cannot be decoded" in fault.reason
    without = render(rows, ADDRESS, renderer)
    assert batch.samples == without.samples
    np.testing.assert_array_equal(batch.patches_PD, without.patches_PD)
    assert_same(MicroBatch.from_table(batch.to_table()), batch)


@pytest.mark.parametrize("uris", [(), ("broken.jpg",)], ids=["text alone", "all broken"])
def test_a_micro_batch_without_pictures_travels_too(
    uris: tuple[str, ...], row: MakeRow, tmp_path: Path, renderer: Renderer
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    batch = render([row(1, *uris)], ADDRESS, renderer)
    assert batch.patches_PD.shape == (0, 0)
    assert len(batch.faults) == len(uris)
    assert_same(MicroBatch.from_table(batch.to_table()), batch)


def test_a_file_that_is_gone_is_raised_and_not_an_empty_slot(
    row: MakeRow, renderer: Renderer
) -> None:
    with pytest.raises(StorageError):
        render([row(1, "gone.jpg")], ADDRESS, renderer)


def test_a_request_through_arrow_renders_the_same_bytes(
    rows: list[RenderRow], renderer: Renderer
) -> None:
    request = request_table(ADDRESS, rows)
    assert request.num_rows == 1
    rendered = render_table(_sent(request), renderer)
    assert rendered.equals(render_table(request, renderer))
    assert_same(MicroBatch.from_table(_sent(rendered)), render(rows, ADDRESS, renderer))
    for ours, theirs in zip(request_rows(request), rows, strict=True):
        for field in fields(RenderRow):
            np.testing.assert_array_equal(
                getattr(ours, field.name), getattr(theirs, field.name)
            )


def test_patches_are_read_without_a_copy(rows: list[RenderRow], renderer: Renderer) -> None:
    table = render(rows, ADDRESS, renderer).to_table()
    start = table.column("patches_PD")[0].as_buffer().address
    patches_PD = MicroBatch.from_table(table).patches_PD
    assert patches_PD.ctypes.data == start
    assert not patches_PD.flags.writeable


def test_faults_keep_their_words(row: MakeRow, renderer: Renderer) -> None:
    batch = render([row(1)], ADDRESS, renderer)
    told = MicroBatch(
        **{
            **{field.name: getattr(batch, field.name) for field in fields(MicroBatch)},
            "faults": (Fault(4, "四", "坏"),),
        }
    )
    assert MicroBatch.from_table(told.to_table()).faults == told.faults


def test_rendering_loads_neither_a_tokenizer_nor_torch_nor_a_job_file() -> None:
    code = (
        "import sys; import orchestrator.data.render; "
        "print(sorted({'torch', 'transformers', 'ray', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def _sent(table: pa.Table) -> pa.Table:
    """Write a table as a stream and read it back, as on the way to another process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
