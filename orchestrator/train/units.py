"""From floating-point numbers to whole units of a grid, exactly or not at all.

Letters: T trained tensors.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from orchestrator.train.pieces import groups, piece_on, pieces, scratch

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
    present = {
        number: gradient.detach()
        for number, gradient in enumerate(gradients_T)
        if gradient is not None and gradient.numel()
    }
    found = list(present.values())
    sizes = [each.numel() for each in found]
    room = piece_on(found[0].device) if found else 0
    parts = [_largest(found[group]) for group in groups(sizes, room)]
    largest_T = [0.0] * len(gradients_T)
    if parts:
        for number, largest in zip(present, torch.cat(parts).tolist(), strict=True):
            largest_T[number] = largest
    return largest_T


def _largest(group: Sequence[Tensor]) -> Tensor:
    """The largest magnitude in each tensor of a group, float64."""
    if len(group) == 1:
        # No copy of a large one.
        return torch.stack(torch.aminmax(group[0])).double().abs().amax().view(1)
    flat_E = _joined(group, torch.float32).abs_()
    sizes = [each.numel() for each in group]
    if flat_E.device.type != "cpu":
        return torch.stack([part.amax() for part in torch.split(flat_E, sizes)]).double()
    starts = np.cumsum([0, *sizes[:-1]])
    return torch.from_numpy(np.maximum.reduceat(flat_E.numpy(), starts)).double()


def _joined(group: Sequence[Tensor], least: torch.dtype) -> Tensor:
    """A copy of several tensors one after the other, in a format that holds them all."""
    dtype = least
    for each in group:
        dtype = torch.promote_types(dtype, each.dtype)
    size = sum(each.numel() for each in group)
    flat_E = scratch("joined", size, dtype, group[0].device)
    return torch.cat([each.reshape(-1) for each in group], out=flat_E)


def is_countable(largest: float) -> bool:
    """Whether a tensor's largest magnitude is a number, and one that float32 has."""
    return largest <= _FLOAT32_MAX


def loss_units(loss: float, num_micros: int) -> int | None:
    """A loss in units of its grid; None if it is no number, or sums of such leave int64."""
    if not math.isfinite(loss):
        return None
    units = round(math.ldexp(loss, LOSS_EXPONENT))
    return units if abs(units).bit_length() + num_micros.bit_length() <= _INT64_BITS else None


def add_units(
    units_T: Sequence[Tensor], gradients_T: Gradients, exponents_T: Sequence[int | None]
) -> None:
    """Add gradients, rounded to units of ``2 ** -exponent``, to int64 units.

    Multiplying by a power of two is exact in any format that holds the result, so float32 does
    but for the finest grids: where it underflows, the unit is 0 anyway.

    Args:
        units_T: One-dimensional, each right behind the one before in one piece of memory.
        gradients_T: None where none arrived.
        exponents_T: None where nothing is to be added.
    """
    sizes = [len(units) for units in units_T]
    for group in groups(sizes, piece_on(units_T[0].device)):
        found = [
            (units, gradient.detach(), exponent)
            for units, gradient, exponent in zip(
                units_T[group], gradients_T[group], exponents_T[group], strict=True
            )
            if gradient is not None and exponent is not None
        ]
        # With a gap in it, a group is no single piece of memory.
        if len(found) > 1 and len(found) == group.stop - group.start:
            _add_joined(*zip(*found, strict=True))
        else:
            for units, gradient, exponent in found:
                _add_alone(units, gradient, exponent)


def _add_joined(
    units_T: Sequence[Tensor], gradients_T: Sequence[Tensor], exponents_T: Sequence[int]
) -> None:
    widest = max((gradient.dtype for gradient in gradients_T), key=lambda dtype: dtype.itemsize)
    flat_E = _joined(gradients_T, _format(widest, exponents_T))
    parts_T = torch.split(flat_E, [len(units) for units in units_T])
    torch._foreach_mul_(parts_T, [2.0**exponent for exponent in exponents_T])
    whole_E = scratch("whole", len(flat_E), torch.int64, flat_E.device)
    whole_E.copy_(flat_E.round_())
    units_T[0].as_strided(whole_E.shape, (1,)).add_(whole_E)


def _add_alone(units: Tensor, gradient: Tensor, exponent: int) -> None:
    wide = _format(gradient.dtype, [exponent])
    scale, done = 2.0**exponent, 0
    piece = piece_on(units.device)
    room = min(piece, len(units))
    scaled = torch.empty(room, dtype=wide, device=units.device)
    whole = torch.empty(room, dtype=torch.int64, device=units.device)
    for part in pieces(gradient, piece):
        size = len(part)
        values = scaled[:size]
        if part.dtype == wide:
            torch.mul(part, scale, out=values)
        else:
            values.copy_(part).mul_(scale)
        units[done : done + size].add_(whole[:size].copy_(values.round_()))
        done += size


def _format(dtype: torch.dtype, exponents: Sequence[int]) -> torch.dtype:
    """In which gradients are scaled and rounded."""
    is_narrow = dtype.itemsize <= 4 and all(abs(exponent) <= 126 for exponent in exponents)
    return torch.float32 if is_narrow else torch.float64
