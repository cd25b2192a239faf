"""What the parameters of a fusion are before training."""

import math

import torch
from torch import Tensor, nn

from orchestrator.plan.seeds import hash_to_seed

_ZERO = ("gate_D", "weighing.token.weight")
"""A fusion starts as the identity, with all images counting alike."""


def draw(module: nn.Module, seed: int) -> None:
    """Fill every parameter from ``seed`` and its name alone, in place."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(_drawn(name, parameter.shape, seed))


def _drawn(name: str, shape: torch.Size, seed: int) -> Tensor:
    """Matrices as torch draws those of linear layers; norms change nothing at first."""
    if name.endswith(_ZERO) or name.endswith(".bias"):
        return torch.zeros(shape)
    if len(shape) == 1:
        return torch.ones(shape)
    generator = torch.Generator().manual_seed(hash_to_seed(f"{seed}/{name}".encode()))
    bound = math.sqrt(1 / shape[1])
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
