"""Write an index's pictures at the job's size into shards, on all of the cluster."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import ray

from orchestrator.cluster.patience import patiently
from orchestrator.config.job import Job
from orchestrator.data.index import Index
from orchestrator.data.media.medium import Medium
from orchestrator.data.render import Renderer
from orchestrator.data.shard_keys import KEY, Sought, index_keys, unwritten
from orchestrator.data.shard_writer import Catalogue, read_catalogues, runs, write_shards
from orchestrator.data.shards import ShardMap, write_map
from orchestrator.storage import Store

FOLDER = "media/shards"
"""Of a job's storage: shards are shared by all jobs that keep their runs there."""
RUNS_A_CPU = 2
"""Tasks asked for at once, so that no CPU waits for the next."""
RETRIES = 10
"""Of one task whose node is lost."""


def resize_media(
    job: Job, index: Index, renderer: Renderer, progress: Callable[[int], None] | None = None
) -> ShardMap:
    """Write what is not written yet of an index's pictures; cheap where that is nothing.

    Killed in the middle and called again, it goes on where it was.

    Args:
        job: The resolved job. A Ray session is open.
        index: Whose pictures.
        renderer: What loads them.
        progress: Told how many pictures are done.

    Returns:
        Where each picture's copy is. ``summary.pixels`` belongs to the run's identity.

    Raises:
        StorageError: A store did not answer, or a file is gone since it was indexed.
    """
    kinds, store = renderer.kinds, Store.open(job.storage.path).child(FOLDER)
    found = ShardMap.find(index, kinds, store)
    if found is not None:
        return found
    pictures, catalogues = index_keys(index, kinds), read_catalogues(store)
    known_E = np.concatenate([np.empty(0, KEY), *(c.entries_E["key"] for c in catalogues)])
    done = int(np.count_nonzero(np.isin(pictures.keys_I, known_E)))
    for num_pictures, written in _written(
        runs(unwritten(index, pictures.keys_I, known_E)), kinds, store
    ):
        catalogues += written
        done += num_pictures
        if progress is not None:
            progress(done)
    return write_map(index, kinds, store, pictures, catalogues)


def _written(
    waiting: Iterator[list[Sought]], kinds: Mapping[str, Medium], store: Store
) -> Iterator[tuple[int, list[Catalogue]]]:
    """Write runs, a few at a time: each one's pictures and catalogues, in their order."""
    under_way: deque[tuple[int, Any]] = deque()
    for run in waiting:
        sought = sum(len(each.keys) for each in run)
        under_way.append((sought, _write_run.remote(run, dict(kinds), store.url)))
        if len(under_way) >= _most_at_once():
            yield _ended(*under_way.popleft())
    while under_way:
        yield _ended(*under_way.popleft())


def _most_at_once() -> int:
    # Asked each time: a cluster grows.
    return RUNS_A_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))


def _ended(num_pictures: int, ref: Any) -> tuple[int, list[Catalogue]]:  # noqa: ANN401
    try:
        return num_pictures, ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


@ray.remote(max_retries=RETRIES)  # type: ignore[untyped-decorator]
def _write_run(run: list[Sought], kinds: dict[str, Medium], url: str) -> list[Catalogue]:
    return patiently(lambda: list(write_shards(run, kinds, Store.open(url))))
