"""The gradient of the mean loss, read off an exact sum when and in the format it is wanted.

Kept as what was summed, int64 units, with a divisor and a factor: as float64 it would take as
much memory again.

Letters: T trained tensors.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import torch
from torch import Tensor

from orchestrator.train.pieces import piece_on

NORM_PIECE = 1 << 20
"""Entries whose squares are added at once. Part of the arithmetic: the norm's last bits, and
with them those of every clipped step, depend on it."""


@dataclass
class MeanGradients(Sequence[Tensor]):
    """One gradient a trained tensor, each computed anew when it is asked for.

    Attributes:
        units_T: The sum of each tensor, int64, one-dimensional.
        shapes_T: The tensors' shapes.
        divisors_T: What makes units of a sum the mean: label tokens times units in 1.
        factor: What the mean is multiplied by afterwards; None multiplies by nothing.
    """

    units_T: list[Tensor]
    shapes_T: list[torch.Size]
    divisors_T: list[float]
    factor: float | None = None

    def __len__(self) -> int:
        return len(self.units_T)

    @overload
    def __getitem__(self, number: int) -> Tensor: ...
    @overload
    def __getitem__(self, number: slice) -> list[Tensor]: ...
    def __getitem__(self, number: int | slice) -> Tensor | list[Tensor]:
        """In float64."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if number >= len(self):
            raise IndexError(number)
        return self.cast(number, torch.float64)

    def cast(self, number: int, dtype: torch.dtype) -> Tensor:
        """One tensor's gradient, computed in float64 and rounded once to ``dtype``."""
        units = self.units_T[number]
        result = torch.empty(self.shapes_T[number], dtype=dtype, device=units.device)
        size = piece_on(units.device)
        places = torch.split(result.view(-1), size)
        for place, values in zip(places, self._values(number, size), strict=True):
            if self.factor is not None:
                values.mul_(self.factor)
            place.copy_(values)
        return result

    def norm(self) -> float:
        """Euclidean norm of all tensors together, before the factor.

        In float64 over exact sums, in an order that is always the same: equal on all ranks.
        """
        sums_T = [
            [values.square_().sum() for values in self._values(number, NORM_PIECE)]
            for number in range(len(self))
        ]
        # All at once: on a GPU each number that is read waits for the device.
        every = [each for sums in sums_T for each in sums]
        numbers = iter(torch.stack(every).tolist() if every else ())
        # A tensor's own sum first, so that small tensors are one number each.
        return math.sqrt(sum(sum(next(numbers) for _ in sums) for sums in sums_T))

    @cached_property
    def _device_divisors_T(self) -> Tensor:
        """On the device: a GPU multiplies by the reciprocal of what is not."""
        device = self.units_T[0].device
        return torch.tensor(self.divisors_T, dtype=torch.float64, device=device)

    def _values(self, number: int, size: int) -> Iterator[Tensor]:
        """Float64 values a piece at a time, each in the same memory as the one before."""
        units = self.units_T[number]
        scratch = torch.empty(min(size, len(units)), dtype=torch.float64, device=units.device)
        for piece in torch.split(units, size):
            yield scratch[: len(piece)].copy_(piece).div_(self._device_divisors_T[number])


def clip(gradients_T: MeanGradients, max_norm: float | None) -> float:
    """Scale gradients down to a global norm, and return the norm they had.

    Works on the exact sum, in float64: every rank clips by the same factor.
    """
    norm = gradients_T.norm()
    if max_norm is not None and norm > max_norm:
        gradients_T.factor = max_norm / norm
    return norm
