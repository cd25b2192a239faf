"""Build a job's indexes with Ray Data: headers probed, tokens counted, faults gathered."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import ray

from orchestrator.cluster.internals import block_refs
from orchestrator.cluster.resolving import longest_allowed
from orchestrator.cluster.tasks import IndexSpec, Numbered, measure, measured_rows
from orchestrator.config.job import Job
from orchestrator.data.index import Index, write_index
from orchestrator.data.parts import Parts, fingerprint_of, part_key, settings_key
from orchestrator.data.places.wording import without_secrets
from orchestrator.data.rows import rows_to_table, table_to_rows
from orchestrator.data.sources.chunks import cut
from orchestrator.data.variants import Images, swap_media
from orchestrator.errors import DataError
from orchestrator.plan.steps import Part
from orchestrator.storage import Store

SEGMENT_CHUNKS = 1024
"""Chunks of one pipeline; those of a large data file are many."""
LOOK_EVERY_S = 0.1
"""A chunk takes longer than that."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index on this machine, and how much of it had to be measured."""

    index: Index
    measured: int
    """Chunks that were measured now."""
    reused: int
    """Chunks that an earlier index had measured."""


def build_index(
    job: Job, part: Part, *, images: Images = "all", progress: Progress | None = None
) -> BuiltIndex:
    """Index one part of a resolved job's data, measuring what is not measured yet.

    Args:
        job: The resolved job.
        part: Its training or held-out data.
        images: Which images the samples keep; anything but "all" is for evaluation.
        progress: Told how many rows are measured.

    Raises:
        DataError: A file cannot be read, or not one row of it can be used.
        ModelError: The model's tokenizer or processor cannot be used.
        StorageError: A store did not answer.
    """
    spec = IndexSpec.of(job, part, longest_allowed(job), images)
    # Here and not in a task first: what is wrong with the model is said at once.
    keys = [settings_key(spec.settings(source)) for source in range(len(spec.sources))]
    # A list: one file may be there twice.
    chunks = [
        (part_key(keys[source], source, chunk), (source, chunk))
        for source, given in enumerate(spec.sources)
        for chunk in cut(given)
    ]
    root = _index_root(job)
    parts = Parts(root / "parts")
    missing = {key: chunk for key, chunk in chunks if not parts.is_current(key)}
    for key, rows in _measured(missing, spec, progress or (lambda _: None)):
        parts.write(key, rows)
    index = _assembled(root, parts, [key for key, _ in chunks], spec)
    return BuiltIndex(index, measured=len(missing), reused=len(chunks) - len(missing))


def _index_root(job: Job) -> Path:
    """Indexes are memory-mapped, so they lie on a disk of the head node."""
    store = Store.open(job.storage.path)
    if "://" in store.url:
        return Path.home() / ".cache" / "orchestrator" / "index"
    return Path(store.url) / "index"


def _measured(
    missing: Mapping[str, Numbered], spec: IndexSpec, progress: Progress
) -> Iterator[tuple[str, pa.Table]]:
    """Measure chunks in parallel, and give their rows in order."""
    waiting = iter(missing.items())
    done = 0
    while segment := list(itertools.islice(waiting, SEGMENT_CHUNKS)):
        # One row is one block is one chunk.
        numbers = [pa.table({"chunk": [number]}) for number in range(len(segment))]
        dataset = ray.data.from_arrow(numbers)
        dataset.context.execution_options.preserve_order = True
        # Nor may a block be divided: its number says whose rows it holds.
        dataset.context.target_max_block_size = None
        dataset.context.enable_progress_bars = False
        measured = dataset.map_batches(
            measure,
            fn_kwargs={"chunks": [chunk for _, chunk in segment], "spec": spec},
            batch_size=None,
            batch_format="pyarrow",
        )
        for number, ref in enumerate(block_refs(measured, LOOK_EVERY_S)):
            rows, key = measured_rows(ray.get(ref), number), segment[number][0]
            done += rows.num_rows
            progress(done)
            yield key, rows


def _assembled(root: Path, parts: Parts, keys: Sequence[str], spec: IndexSpec) -> Index:
    """Join parts to an index, or find it joined already."""
    swapped = spec.images == "swapped"
    told = [parts.told(key) for key in keys]
    identity = fingerprint_of(
        spec.settings(),
        # Who is too long with another's pictures follows from what may be long.
        [*(digest for digest, _ in told), f"swapped {spec.micro_tokens}" if swapped else ""],
    )
    # The same rows over media in other places are another index of the same identity.
    folder = (
        root / fingerprint_of(spec.settings(), [identity, *(state for _, state in told)])[:16]
    )
    try:
        return Index.open(folder)
    except DataError:
        rows = (parts.read(key) for key in keys)
        return write_index(
            folder,
            _swapped(rows, spec.micro_tokens) if swapped else rows,
            source=", ".join(without_secrets(source.path) for source in spec.sources),
            num_sources=len(spec.sources),
            fingerprint=identity,
            may_be_empty=swapped,
        )


def _swapped(parts: Iterator[pa.Table], micro_tokens: int) -> Iterator[pa.Table]:
    """Held-out samples with each other's pictures; all rows are held at once."""
    tables = [part for part in parts if part.num_rows]
    rows = swap_media([row for table in tables for row in table_to_rows(table)], micro_tokens)
    left = iter(rows)
    for table in tables:
        source = table.column("source")[0].as_py()
        yield rows_to_table(itertools.islice(left, table.num_rows), source)
