"""From a data file to what became of each row, the way that a job goes, without a cluster."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.config.data import DataSource
from orchestrator.data.bad_sample import BadRow
from orchestrator.data.measure import MeasureSettings, measure_records
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.places.location import Location
from orchestrator.data.places.places import Places
from orchestrator.data.render import Renderer, render_table, request_table
from orchestrator.data.rows import (
    RenderMedium,
    RenderRow,
    SampleRow,
    rows_to_table,
    table_to_rows,
)
from orchestrator.data.sources.chunks import cut, read_chunk
from orchestrator.plan.steps import Address
from tests.nasty.asking import asks, line
from tests.nasty.drawing import good
from tests.nasty.outcomes import Case

ADDRESS = Address(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder, and what measures and renders what is in it."""

    folder: Path
    settings: MeasureSettings
    renderer: Renderer

    @property
    def media_dir(self) -> Path:
        """Where cases put their media; what is outside belongs to nobody's data set."""
        place = self.folder / "media"
        place.mkdir(exist_ok=True)
        return place

    def measured(self, data: Path) -> list[SampleRow | BadRow]:
        """Measure a data file, through the tables that its rows travel in."""
        places = Places(str(self.media_dir))
        settings = replace(self.settings, places=places)
        source = DataSource(path=str(data), media_dir=str(self.media_dir))
        rows: list[SampleRow | BadRow] = []
        for chunk in cut(source):
            found = measure_records(list(read_chunk(chunk)), chunk.file, settings)
            rows += table_to_rows(rows_to_table(found))
        return rows

    def rendered(self, rows: list[SampleRow]) -> MicroBatch:
        """Render samples as one micro-batch, through the table that it travels in."""
        asked = [_render_row(number, row) for number, row in enumerate(rows)]
        return MicroBatch.from_table(render_table(request_table(ADDRESS, asked), self.renderer))

    def write_lines(self, cases: list[Case]) -> Path:
        """A file of lines: each case between two good rows, ``good0``, ``good1`` and so on."""
        lines = []
        for number, case in enumerate(cases):
            lines.append(self._good_line(number))
            given = case.write(self.media_dir)
            lines.append(
                given if isinstance(given, bytes) else line({"id": case.name, **given})
            )
        path = self.folder / "data.jsonl"
        path.write_bytes(b"\n".join([*lines, self._good_line(len(cases))]) + b"\n")
        return path

    def _good_line(self, number: int) -> bytes:
        return line(asks(good(self.media_dir), id=f"good{number}"))


def first_picture(batch: MicroBatch, cell: int = 8) -> npt.NDArray[np.uint8]:
    """The first picture of a micro-batch, put together from its patches."""
    _, down, across = batch.grids_I3[0].tolist()
    cells = batch.patches_PD[: down * across].reshape(down, across, cell, cell, 3)
    return cells.swapaxes(1, 2).reshape(down * cell, across * cell, 3)


def _render_row(number: int, row: SampleRow) -> RenderRow:
    targets = iter(zip(row.target_heights, row.target_widths, strict=True))
    media = zip(row.kinds, row.urls, row.offsets, row.lengths, row.pictures, strict=True)
    return RenderRow(
        number,
        row.id,
        row.ids_L,
        row.labels_L,
        tuple(
            RenderMedium(
                kind,
                Location(url, offset, None if length < 0 else length),
                tuple(next(targets) for _ in range(pictures)),
            )
            for kind, url, offset, length, pictures in media
        ),
    )
