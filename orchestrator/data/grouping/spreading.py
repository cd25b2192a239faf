"""Do the same to many pictures, on all processors where that pays."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from orchestrator.data.grouping.finding import Progress

T = TypeVar("T")
R = TypeVar("R")

_FEW = 200
"""So many are done before other processes have started."""


def spread(
    action: Callable[[T], R], items: Sequence[T], word: str, progress: Progress | None
) -> list[R]:
    """Apply ``action`` to all items; results come in their order.

    Args:
        action: Must pickle, as must what it gives and raises.
        items: What it is applied to.
        word: What the items are, for ``progress``.
        progress: Called after each.
    """
    if len(items) <= _FEW:
        return _told(map(action, items), len(items), word, progress)
    # Spawned, not forked: the caller may hold threads.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        # Small runs, so that progress shows and no process is left with the last large one.
        return _told(processes.map(action, items, chunksize=8), len(items), word, progress)


def _told(results: Iterable[R], total: int, word: str, progress: Progress | None) -> list[R]:
    done = []
    for result in results:
        done.append(result)
        if progress is not None:
            progress(len(done), total, word)
    return done
