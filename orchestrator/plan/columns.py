"""Reading a few places of a column that may be far larger than memory.

Letters: N samples in the index, S samples asked for.
"""

import os
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.plan.order import Integers

Column = NDArray[np.generic]
Pick = Callable[[Integers], Column]
"""Reads places of a column, in any order, any of them more than once."""


def open_column(column_N: Column) -> Pick:
    """Give what reads single places of a column.

    Where it is mapped from a file, places are read from the file: touching mapped memory may
    bring in two megabytes around each, and in time all of it.

    Args:
        column_N: An array, or a file mapped by ``numpy.load``.
    """
    if not isinstance(column_N, np.memmap) or not _is_whole_file(column_N):
        return lambda samples_S: np.asarray(column_N[samples_S])
    return _FileColumn(Path(str(column_N.filename)), column_N.offset, column_N.dtype)


def _is_whole_file(column_N: np.memmap[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    # A view has the offset of what it is a view of; other modes may differ from the file.
    is_view = isinstance(column_N.base, np.ndarray)
    return column_N.mode == "r" and column_N.ndim == 1 and not is_view


class _FileColumn:
    """Numbers of one type in a file, which is closed when nobody holds this any more."""

    def __init__(self, path: Path, offset: int, dtype: np.dtype[np.generic]) -> None:
        self._file = path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        self._offset, self._dtype = offset, dtype

    def __call__(self, samples_S: Integers) -> Column:
        file, size = self._file.fileno(), self._dtype.itemsize
        offsets = (self._offset + samples_S * size).tolist()
        # All at once: one after the other, each would be waited for.
        for offset in offsets:
            os.posix_fadvise(file, offset, size, os.POSIX_FADV_WILLNEED)
        content = b"".join([os.pread(file, size, offset) for offset in offsets])
        return np.frombuffer(content, dtype=self._dtype)
