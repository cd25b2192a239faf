"""From floating-point numbers to whole units of a grid, exactly or not at all.

Letters: T trained tensors.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from orchestrator.train.pieces import PIECE, pieces

Gradients = Sequence[Tensor | None]

LOSS_EXPONENT = 24
"""A loss is counted in units of 2^-24 nats."""
_FLOAT32_MAX = torch.finfo(torch.float32).max
_FLOAT64_BITS = 52
_INT64_BITS = 62


def limit_bits(num_micros: int) -> int:
    """Bits that one micro-batch's entry may take, so that sums of all stay inside int64.

    Also at most 52, so that float64 still holds every count exactly while it is rounded.
    """
    return min(_FLOAT64_BITS, _INT64_BITS - max(1, num_micros).bit_length())


def largest_entries(gradients_T: Gradients) -> list[float]:
    """The largest magnitude in each tensor: NaN where there is one, 0 where there is nothing.

    One pass over each, and one wait for the device.
    """
    ends_T2 = [
        torch.zeros(2, dtype=torch.float64)
        if gradient is None or not gradient.numel()
        else torch.stack(torch.aminmax(gradient.detach())).double()
        for gradient in gradients_T
    ]
    device = next((ends.device for ends in ends_T2 if ends.device.type != "cpu"), None)
    largest_T: list[float] = (
        torch.stack([ends.to(device) for ends in ends_T2]).abs().amax(dim=1).tolist()
    )
    return largest_T


def is_countable(largest: float) -> bool:
    """Whether a tensor's largest magnitude is a number, and one that float32 has."""
    return largest <= _FLOAT32_MAX


def loss_units(loss: float, num_micros: int) -> int | None:
    """A loss in units of its grid; None if it is no number, or sums of such leave int64."""
    if not math.isfinite(loss):
        return None
    units = round(math.ldexp(loss, LOSS_EXPONENT))
    return units if abs(units).bit_length() + num_micros.bit_length() <= _INT64_BITS else None


def add_units(units: Tensor, gradient: Tensor, exponent: int) -> None:
    """Add a gradient, rounded to units of ``2 ** -exponent``, to int64 units.

    Multiplying by a power of two is exact in any format that holds the result, so float32 does
    but for the finest grids: where it underflows, the unit is 0 anyway.
    """
    is_narrow = abs(exponent) <= 126 and gradient.element_size() <= 4
    wide = torch.float32 if is_narrow else torch.float64
    scale, room, done = 2.0**exponent, min(PIECE, len(units)), 0
    scaled = torch.empty(room, dtype=wide, device=units.device)
    whole = torch.empty(room, dtype=torch.int64, device=units.device)
    for part in pieces(gradient.detach()):
        size = len(part)
        values = scaled[:size]
        if part.dtype == wide:
            torch.mul(part, scale, out=values)
        else:
            values.copy_(part).mul_(scale)
        units[done : done + size].add_(whole[:size].copy_(values.round_()))
        done += size
