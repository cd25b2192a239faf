"""What Ray runs on any node to index."""

import gc
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
import pyarrow as pa

from orchestrator import errors
from orchestrator.config.data import DataSource
from orchestrator.config.fusion import FusionConfig
from orchestrator.config.images import ImageBudget
from orchestrator.config.job import Job
from orchestrator.config.videos import VideoBudget
from orchestrator.data.measure import MeasureSettings, measure_records
from orchestrator.data.media.kinds import media_kinds
from orchestrator.data.packed import pack
from orchestrator.data.places.places import Places
from orchestrator.data.render import Renderer
from orchestrator.data.rows import ROWS_SCHEMA, rows_to_table
from orchestrator.data.sources.chunks import Chunk, read_chunk
from orchestrator.data.templates.reading import load_template
from orchestrator.data.templates.template import Template
from orchestrator.data.variants import Images
from orchestrator.errors import OrchestratorError
from orchestrator.plan.steps import Part
from orchestrator.storage import Store

_ERROR, _NUMBER, _ROWS = "error", "number", "rows"
MEASURED_AT_ONCE = 256
"""Rows whose inline content is held at once."""

Numbered = tuple[int, Chunk]
"""A chunk, and the place of its data set in the job."""


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What an indexing task needs beside its chunks; hashable: a process loads once."""

    sources: tuple[DataSource, ...]
    roots: tuple[str, ...]
    hosts: tuple[str, ...]
    model: str
    revision: str | None
    budget: ImageBudget
    videos: VideoBudget
    micro_tokens: int
    """A longer sample is quarantined."""

    fusion: FusionConfig | None
    blobs: str
    """URL of the store for content that came in rows."""

    templates: tuple[Template | None, ...]
    """Of each data set; read here, as their files may be on this machine alone."""

    images: Images = "all"

    @classmethod
    def of(cls, job: Job, part: Part, longest: int, images: Images = "all") -> "IndexSpec":
        """What a part of a resolved job depends on; ``longest`` tokens are allowed a sample."""
        sources = job.data.training if part == "train" else job.data.held_out
        return cls(
            sources=sources,
            templates=tuple(
                load_template(each.template) if each.template else None for each in sources
            ),
            roots=job.data.roots,
            hosts=job.data.hosts,
            model=job.model.path,
            revision=job.model.revision,
            budget=job.images,
            videos=job.videos,
            micro_tokens=longest,
            fusion=job.fusion,
            blobs=Store.open(job.storage.path).child("media/inline").url,
            images=images,
        )

    @lru_cache(maxsize=64)  # noqa: B019 - the specs of a process are few and live as long as it
    def settings(self, source: int = 0) -> MeasureSettings:
        """Load the tokenizer and the processor's arithmetic: seconds, once a process."""
        from orchestrator.data.chat import ChatEncoder  # noqa: PLC0415 - keeps rendering light
        from orchestrator.models.loading import load_tokenizer  # noqa: PLC0415
        from orchestrator.models.processor import image_coder  # noqa: PLC0415

        if source:
            first = self.settings()
            coder, chat = first.coder, first.chat
        else:
            coder = image_coder(self.model, self.budget, self.revision)
            chat = ChatEncoder(load_tokenizer(self.model, self.revision))
        given = self.sources[source]
        return MeasureSettings(
            places=Places(given.media_folder, self.roots, self.hosts),
            kinds=media_kinds(self.budget, self.videos),
            coder=coder,
            chat=chat,
            max_images=self.budget.max_images,
            select=self.budget.select,
            max_source_pixels=self.budget.max_source_pixels,
            micro_tokens=self.micro_tokens,
            fusion_budget=self.fusion.budget if self.fusion else None,
            fusion_floor=self.fusion.floor if self.fusion else 1,
            template=self.templates[source],
            images="first" if self.images == "first" else "all",
            blobs=Store.open(self.blobs),
        )

    def renderer(self) -> Renderer:
        """What renders the samples of the index."""
        found = self.settings()
        return Renderer(coder=found.coder, kinds=found.kinds)


def measure(numbers: pa.Table, *, chunks: Sequence[Numbered], spec: IndexSpec) -> pa.Table:
    """Measure a chunk, given by its number.

    An error of ours comes back as a block of its own, for ``measured_rows`` to raise: Ray Data
    keeps of an error nothing but its text.
    """
    tables = [ROWS_SCHEMA.empty_table()]
    _spare_what_stays(spec)
    try:
        [number] = numbers.column("chunk").to_pylist()
        source, chunk = chunks[number]
        records = read_chunk(chunk)
        while block := list(islice(records, MEASURED_AT_ONCE)):
            rows = measure_records(block, chunk.file, spec.settings(source), source=source)
            tables.append(rows_to_table(rows, source))
    except OrchestratorError as error:
        return pa.table({_ERROR: [type(error).__name__], "args": [list(map(str, error.args))]})
    whole = pa.concat_tables(tables).combine_chunks()
    # Also where there are no rows: the driver has to know whose none they are.
    marks = pa.array([number], pa.int64())
    return pa.table({_NUMBER: marks, _ROWS: _as_cell(whole)})


@lru_cache(maxsize=64)
def _spare_what_stays(spec: IndexSpec) -> None:
    """Have the garbage collector look at what is made from now on, and not at the libraries.

    They are a million objects, which it would go through every few thousand samples: a third
    of the time.
    """
    with suppress(OrchestratorError):
        spec.settings()
    gc.freeze()


def measured_rows(block: pa.Table, number: int) -> pa.Table:
    """What ``measure`` gave for a chunk, if it gave rows.

    Raises:
        OrchestratorError: The error that it met.
    """
    if _ERROR in block.column_names:
        kind = getattr(errors, block.column(_ERROR)[0].as_py())
        raise kind(*block.column("args")[0].as_py())
    assert block.column(_NUMBER).to_pylist() == [number], "blocks came out of order"
    return pa.ipc.open_stream(block.column(_ROWS)[0].as_buffer()).read_all()


def _as_cell(rows: pa.Table) -> pa.Array:
    """Rows as one value, which nobody can divide."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return pack(np.frombuffer(sink.getvalue(), dtype=np.uint8))
