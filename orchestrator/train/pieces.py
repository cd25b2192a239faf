"""Walking through tensors a piece at a time: large ones in parts, small ones several together.

A temporary of a piece's size stays in the processor's cache; one of a tensor's size costs
memory, and the time to fetch it, several times over. And a small tensor costs mostly the calls,
which are as many for a group of them as for one.
"""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

PIECE = 1 << 18
"""Entries of a piece: 2 MiB of float64, what a core's own cache holds. Measured from 2^14 to
2^21 on 20 M entries: smaller ones pay for calls, larger ones for memory."""

GPU_PIECE = 1 << 22
"""On a GPU, where a call costs more than a piece of ``PIECE`` entries."""


def piece_on(device: torch.device) -> int:
    """Entries of a piece on a device."""
    return PIECE if device.type == "cpu" else GPU_PIECE


def pieces(tensor: Tensor, size: int = PIECE) -> Iterator[Tensor]:
    """The entries of a tensor in row-major order, one-dimensional and ``size`` at a time.

    Views where the tensor is contiguous; otherwise copies of at most ``size`` entries, which
    may then be cut anywhere.
    """
    if tensor.is_contiguous():
        yield from torch.split(tensor.view(-1), size)
    elif tensor.numel() <= size:
        yield tensor.reshape(-1).contiguous()
    elif tensor.dim() == 1:
        yield from (part.contiguous() for part in torch.split(tensor, size))
    else:
        rows = max(1, size * len(tensor) // tensor.numel())
        for part in torch.split(tensor, rows):
            yield from pieces(part[0] if rows == 1 else part, size)


def groups(sizes_T: Sequence[int], size: int = PIECE) -> list[slice]:
    """Consecutive tensors that have at most ``size`` entries together; larger ones alone."""
    found: list[slice] = []
    room = 0
    for number, entries in enumerate(sizes_T):
        if found and entries <= room:
            found[-1] = slice(found[-1].start, number + 1)
            room -= entries
        else:
            found.append(slice(number, number + 1))
            room = size - entries
    return found


def scratch(name: str, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for a piece or less, with whatever was in it; the same again for the same name.

    New memory of this size would come from the system each time, a page fault after the other.
    Of this thread alone.
    """
    room = piece_on(device)
    assert size <= room, f"{size} entries are no piece"
    kept, key = _of_thread.kept, (name, dtype, device)
    if key not in kept:
        kept[key] = torch.empty(room, dtype=dtype, device=device)
    return kept[key][:size]


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.kept: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}


_of_thread = _OfThread()


def zeros(size: int, device: torch.device) -> Tensor:
    """Int64 zeros that take memory only once they are written to, where the device allows.

    NumPy asks the system for huge pages, which torch does not: page faults then take half the
    time or less.
    """
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(size, np.int64))
    return torch.zeros(size, dtype=torch.int64, device=device)


def landing(size: int, device: torch.device) -> Tensor:
    """Int64 memory of the host, to be filled from a device and read by it again.

    Pinned where the device is a GPU: copies take a tenth of the time. Torch keeps what is let
    go for the next call, once nobody holds it any more.
    """
    if device.type == "cuda":
        return torch.empty(size, dtype=torch.int64, pin_memory=True)
    return zeros(size, torch.device("cpu"))
