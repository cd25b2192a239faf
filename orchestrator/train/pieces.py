"""Walking through large tensors a piece at a time, with no copy of the whole.

A temporary of a piece's size stays in the processor's cache; one of a tensor's size costs
memory, and the time to fetch it, several times over.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

PIECE = 1 << 18
"""Entries of a piece: 2 MiB of float64, what a core's own cache holds. Measured from 2^14 to
2^21 on 20 M entries: smaller ones pay for calls, larger ones for memory."""


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


def zeros(size: int, device: torch.device) -> Tensor:
    """Int64 zeros that take memory only once they are written to, where the device allows.

    NumPy asks the system for huge pages, which torch does not: page faults then take half the
    time or less.
    """
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(size, np.int64))
    return torch.zeros(size, dtype=torch.int64, device=device)
