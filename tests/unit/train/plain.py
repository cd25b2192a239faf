"""The exact sum and its step as plainly as they can be written: what the fast ones must equal.

Every temporary is as large as the whole, everything is float64, and the optimizer is torch's.
"""

import math

import torch
from torch import Tensor
from torch.nn import Parameter

from orchestrator.train.grid import Grid


def units_of(gradient: Tensor, exponent: int) -> Tensor:
    """A gradient in whole units of ``2 ** -exponent``."""
    scale = torch.tensor(2.0**exponent, dtype=torch.float64, device=gradient.device)
    return (gradient.double() * scale).round().to(torch.int64)


def mean_of(micros: list[list[Tensor]], grid: Grid, tokens: int) -> list[Tensor]:
    """Gradients of the mean loss, in float64, from those of each micro-batch; on the CPU.

    A GPU would multiply by the reciprocal of ``tokens`` instead of dividing.
    """
    sums = []
    for number, exponent in enumerate(grid.exponents_T):
        units = torch.stack([units_of(micro[number], exponent) for micro in micros]).sum(dim=0)
        sums.append(units.cpu().double() * 2.0**-exponent / tokens)
    return sums


def clip_plainly(gradients: list[Tensor], max_norm: float | None) -> float:
    """Scale to a global norm in place; return the one before."""
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    if max_norm is not None and norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm


class PlainReplica:
    """Weights and torch's own AdamW, which steps in float32 at least."""

    def __init__(self, tensors: dict[str, Parameter], weight_decay: float) -> None:
        self.tensors = {name: t.detach().clone() for name, t in tensors.items()}
        self._wide = [Parameter(at_least_float32(t).clone()) for t in self.tensors.values()]
        self._optimizer = torch.optim.AdamW(
            self._wide, weight_decay=weight_decay, foreach=False, fused=False
        )

    def apply(self, gradients: list[Tensor], learning_rate: float) -> None:
        for parameter, gradient in zip(self._wide, gradients, strict=True):
            parameter.grad = gradient.to(device=parameter.device, dtype=parameter.dtype)
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()
        for parameter, held in zip(self._wide, self.tensors.values(), strict=True):
            held.copy_(parameter.detach())
            parameter.data.copy_(held)


def at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
