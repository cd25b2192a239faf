"""What Ray runs on any node to render micro-batches.

A process that renders loads neither torch nor transformers, nor what indexing needs: how soon
the first micro-batch is there depends on it.
"""

from collections.abc import Iterator

import pyarrow as pa
import ray

from orchestrator.cluster.patience import patiently
from orchestrator.data.render import Renderer, render_table


def render_each(requests: pa.Table, *, renderer: Renderer) -> Iterator[pa.Table]:
    """Render requested micro-batches, each as soon as the one before is done."""
    for row in range(requests.num_rows):
        yield render_table(requests.slice(row, 1), renderer)


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def render_alone(request: pa.Table, renderer: Renderer) -> pa.Table:
    """Render one micro-batch outside of any pipeline."""
    return patiently(lambda: render_table(request, renderer))
