"""The pieces that all small models here are made of.

Letters: S sequences, L tokens of one, K tokens looked at, D width, E numbers of a place.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH: Final = 64
"""D of encoder and language model."""
HEADS: Final = 4
_WAVES: Final = 4
PLACE: Final = 4 * _WAVES
"""E."""


class Attention(nn.Module):
    """Multi-head attention from one sequence to another, or to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key_value = nn.Linear(WIDTH, 2 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(
        self, x_SLD: Tensor, y_SKD: Tensor, *, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        key, value = self.key_value(y_SKD).chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(x_SLD)),
            self._split(key),
            self._split(value),
            attn_mask=mask,
            is_causal=causal,
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x_SLD: Tensor) -> Tensor:
        return x_SLD.unflatten(2, (HEADS, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention and a perceptron, each on normalised input and added to it."""

    def __init__(self, hidden: int = 4 * WIDTH) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.perceptron = perceptron(hidden)

    def widen(self, units: int) -> None:
        """More units inside the perceptron, which say nothing until they are trained."""
        _, inner, _, outer = self.perceptron
        more_in = nn.Linear(inner.in_features, units)
        inner.weight = nn.Parameter(torch.cat([inner.weight, more_in.weight]).detach())
        inner.bias = nn.Parameter(torch.cat([inner.bias, more_in.bias]).detach())
        silent = torch.zeros(outer.out_features, units)
        outer.weight = nn.Parameter(torch.cat([outer.weight, silent], 1).detach())

    def forward(
        self, x_SLD: Tensor, *, mask: Tensor | None = None, causal: bool = False, last: int = 0
    ) -> Tensor:
        """One layer.

        Args:
            x_SLD: The sequence.
            mask: Who may look at whom, ``[S, 1, L, L]``; True: may.
            causal: Nobody looks ahead. Without a mask only.
            last: Go on with so many tokens at the end alone; 0: with all of them.
        """
        y_SLD = self.attention_norm(x_SLD)
        if last:
            # The answer's place may look everywhere: neither mask nor order is left to keep.
            x_SLD, mask = x_SLD[:, -last:], None if mask is None else mask[:, :, -last:]
            causal = causal and last > 1
        x_SLD = x_SLD + self.attention(y_SLD[:, -last:], y_SLD, mask=mask, causal=causal)
        return x_SLD + self.perceptron(x_SLD)


def perceptron(hidden: int) -> nn.Sequential:
    """What stands after an attention."""
    return nn.Sequential(
        nn.LayerNorm(WIDTH), nn.Linear(WIDTH, hidden), nn.GELU(), nn.Linear(hidden, WIDTH)
    )


def centres(down: int, across: int) -> Tensor:
    """The middles of a grid's cells, row by row, ``[down * across, 2]``; a picture is 1 x 1."""
    y, x = ((torch.arange(n) + 0.5) / n for n in (down, across))
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flatten(0, 1)


def waves(places: Tensor) -> Tensor:
    """Places from 0 to 1, two numbers each, as E sines and cosines."""
    angles = places[..., None] * (math.pi * 2 ** torch.arange(_WAVES))
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def num_parameters(module: nn.Module) -> int:
    """Numbers that are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
