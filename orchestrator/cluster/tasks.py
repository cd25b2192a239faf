"""What Ray runs on any node: the bodies of indexing and rendering tasks.

A rendering task imports neither torch nor transformers: they are loaded where they are used.
"""

import gc
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import ray

from orchestrator import errors
from orchestrator.config.data import DataSource
from orchestrator.config.images import ImageBudget
from orchestrator.config.job import Job
from orchestrator.config.videos import VideoBudget
from orchestrator.data.measure import MeasureSettings, measure_records
from orchestrator.data.media.kinds import media_kinds
from orchestrator.data.places.places import Places
from orchestrator.data.render import Renderer, render_table
from orchestrator.data.rows import ROWS_SCHEMA, rows_to_table
from orchestrator.data.sources.chunks import Chunk, read_chunk
from orchestrator.data.templates.reading import load_template
from orchestrator.data.variants import Images
from orchestrator.errors import OrchestratorError
from orchestrator.plan.steps import Part
from orchestrator.storage import Store

_ERROR = "error"

Numbered = tuple[int, Chunk]
"""A chunk, and the place of its data set in the job."""


def render(requests: pa.Table, *, spec: Renderer) -> pa.Table:
    """Render requested micro-batches, one row in, one row out."""
    return render_table(requests, spec)


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def render_alone(request: pa.Table, spec: Renderer) -> pa.Table:
    """Render one micro-batch outside of any pipeline."""
    return render(request, spec=spec)


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
    blobs: str
    """URL of the store for content that came in rows."""

    images: Images = "all"

    @classmethod
    def of(cls, job: Job, part: Part, images: Images = "all") -> "IndexSpec":
        """What a part of a resolved job depends on."""
        return cls(
            sources=job.data.training if part == "train" else job.data.held_out,
            roots=job.data.roots,
            hosts=job.data.hosts,
            model=job.model.path,
            revision=job.model.revision,
            budget=job.images,
            videos=job.videos,
            micro_tokens=job.train.micro_tokens,
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
            micro_tokens=self.micro_tokens,
            template=load_template(given.template) if given.template else None,
            images="first" if self.images == "first" else "all",
            blobs=Store.open(self.blobs),
        )

    def renderer(self) -> Renderer:
        """What renders the samples of the index."""
        found = self.settings()
        return Renderer(coder=found.coder, kinds=found.kinds)


def measure(numbers: pa.Table, *, chunks: Sequence[Numbered], spec: IndexSpec) -> pa.Table:
    """Measure chunks, given by their numbers: one number, one block of rows.

    An error of ours comes back as a block of its own, for ``measured_rows`` to raise: Ray Data
    keeps of an error nothing but its text.
    """
    tables = [ROWS_SCHEMA.empty_table()]
    _spare_what_stays(spec)
    try:
        for number in numbers.column("chunk").to_pylist():
            source, chunk = chunks[number]
            rows = measure_records(
                list(read_chunk(chunk)), chunk.file, spec.settings(source), source=source
            )
            tables.append(rows_to_table(rows, source))
    except OrchestratorError as error:
        return pa.table({_ERROR: [type(error).__name__], "args": [list(map(str, error.args))]})
    return pa.concat_tables(tables).combine_chunks()


@lru_cache(maxsize=64)
def _spare_what_stays(spec: IndexSpec) -> None:
    """Have the garbage collector look at what is made from now on, and not at the libraries.

    They are a million objects, which it would go through every few thousand samples: a third
    of the time.
    """
    with suppress(OrchestratorError):
        spec.settings()
    gc.freeze()


def measured_rows(block: pa.Table) -> pa.Table:
    """What ``measure`` gave, if it gave rows.

    Raises:
        OrchestratorError: The error that it met.
    """
    if _ERROR in block.column_names:
        kind = getattr(errors, block.column(_ERROR)[0].as_py())
        raise kind(*block.column("args")[0].as_py())
    return block
