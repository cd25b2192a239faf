"""Build a job's indexes with Ray Data: headers probed, tokens counted, faults gathered."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import ray

from orchestrator.cluster.internals import block_refs
from orchestrator.cluster.tasks import IndexSpec, measure
from orchestrator.config.data import DataSource
from orchestrator.config.job import Job
from orchestrator.data.fingerprint import fingerprint
from orchestrator.data.index import Index, write_index
from orchestrator.data.sources import Record, read_records, records_to_table
from orchestrator.data.variants import Images, vary_records
from orchestrator.storage import Store

BLOCK_RECORDS = 64
"""Records that one task measures: some hundred image headers."""
SEGMENT_BLOCKS = 256
"""Blocks in flight at once, so that a large data file is never held whole."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index on this machine, and whether it was there before."""

    index: Index
    reused: bool
    unmatched: tuple[str, ...] = ()
    """Held-out samples that no other could exchange pictures with."""


def build_index(
    job: Job, source: DataSource, *, images: Images = "all", progress: Progress | None = None
) -> BuiltIndex:
    """Index one data file of a resolved job, or find the index that is there already.

    Args:
        job: The resolved job.
        source: The job's training or held-out data.
        images: Which images the samples keep; anything but "all" is for evaluation.
        progress: Told how many records are measured.

    Raises:
        DataError: The file cannot be read, or not one row of it can be used.
        ModelError: The model's tokenizer or processor cannot be used.
    """
    spec = IndexSpec.of(job, source.path, str(source.media_folder))
    # Here and not in a task first: what is wrong with the model is said at once.
    identity = fingerprint(spec.settings(), images)
    folder = _index_root(job) / identity[:16]
    found = Index.find(folder, identity)
    if found is not None:
        return BuiltIndex(found, reused=True)
    records, unmatched = _records(source, images, job.images.max_images)
    blocks = _measured(records, spec, progress or (lambda _: None))
    index = write_index(folder, blocks, source=source.path, fingerprint=identity)
    return BuiltIndex(index, reused=False, unmatched=unmatched)


def _index_root(job: Job) -> Path:
    """Indexes are memory-mapped, so they lie on a disk of the head node."""
    store = Store.open(job.storage.path)
    if "://" in store.url:
        return Path.home() / ".cache" / "orchestrator" / "index"
    return Path(store.url) / "index"


def _records(
    source: DataSource, images: Images, max_images: int
) -> tuple[Iterable[Record], tuple[str, ...]]:
    if images == "all":
        return read_records(source), ()
    return vary_records(read_records(source), images, max_images)


def _measured(
    records: Iterable[Record], spec: IndexSpec, progress: Progress
) -> Iterator[pa.Table]:
    remaining = iter(records)
    done = 0
    while segment := list(itertools.islice(_blocks(remaining), SEGMENT_BLOCKS)):
        dataset = ray.data.from_arrow(segment)
        dataset.context.execution_options.preserve_order = True
        dataset.context.enable_progress_bars = False
        measured = dataset.map_batches(
            measure, fn_kwargs={"spec": spec}, batch_size=None, batch_format="pyarrow"
        )
        for ref in block_refs(measured):
            block = ray.get(ref)
            done += block.num_rows
            progress(done)
            yield block


def _blocks(records: Iterator[Record]) -> Iterator[pa.Table]:
    while block := list(itertools.islice(records, BLOCK_RECORDS)):
        yield records_to_table(block)
