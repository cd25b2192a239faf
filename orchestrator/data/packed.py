"""Whole arrays as cells of a one-row Arrow table, read back without a copy."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_Scalar = TypeVar("_Scalar", bound=np.generic)


def pack(array: npt.NDArray[np.generic]) -> pa.Array:
    """Make a column of one cell that holds an array's bytes, sharing its memory."""
    values = np.ascontiguousarray(array)
    offsets = pa.py_buffer(np.array([0, values.nbytes], dtype=np.int64))
    # Arrow does not take an empty array's memory; no bytes are no bytes.
    content = pa.py_buffer(values.reshape(-1).view(np.uint8) if values.size else b"")
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, offsets, content])


def unpack(table: pa.Table, name: str, dtype: type[_Scalar]) -> npt.NDArray[_Scalar]:
    """Read a cell as a flat array on the table's own memory: read-only, and alive with it."""
    return np.frombuffer(table.column(name)[0].as_buffer(), dtype=dtype)


def texts(values: tuple[str, ...]) -> pa.Array:
    """Make a column of one cell that holds a list of texts."""
    return pa.array([list(values)], type=pa.list_(pa.string()))
