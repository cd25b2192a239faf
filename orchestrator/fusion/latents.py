"""Down to latents and up again: what happens to each image by itself.

Images of one grid go through in batches of any shape.

Letters: n tokens of an image; b tokens that it keeps; D width of the language model; d narrow
width; m = g * g latents of an image.
"""

import torch
from torch import Tensor, nn

from orchestrator.fusion.attention import Attention
from orchestrator.fusion.pooling import GridSize, pool
from orchestrator.fusion.shape import FusionShape
from orchestrator.fusion.waves import grid_waves


class Narrowing(nn.Module):
    """From the language model's width to the narrow one."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.width)
        self.project = nn.Linear(shape.width, shape.narrow, bias=False)

    def forward(self, wide_nD: Tensor) -> Tensor:
        """[n, d], in the format of the parameters."""
        narrow_nd: Tensor = self.project(self.norm(wide_nD.to(self.norm.weight.dtype)))
        return narrow_nd


class Resampler(nn.Module):
    """A few latents that each start from a part of the picture and then look at all of it.

    Source: Perceiver (Jaegle et al. 2021), with latents that have a place.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self._grid = (shape.grid, shape.grid)
        self.latents_md = nn.Parameter(torch.empty(shape.grid**2, shape.narrow))
        self.query_norm = nn.LayerNorm(shape.narrow)
        self.key_norm = nn.LayerNorm(shape.narrow)
        self.attention = Attention(shape.narrow, shape.heads)

    def forward(self, tokens_nd: Tensor, grid: GridSize) -> Tensor:
        """Latents [m, d] of one image."""
        own_md = self.latents_md + pool(tokens_nd, grid, self._grid)
        latents_md = own_md + grid_waves(self._grid, own_md)
        keys_nd = self.key_norm(tokens_nd + grid_waves(grid, tokens_nd))
        found_md: Tensor = self.attention(self.query_norm(latents_md), keys_nd)
        return latents_md + found_md


class Lifting(nn.Module):
    """What an image's tokens take from its latents, which by then know of the other images.

    A token starts from the latent of its place, as that one started from its tokens, and then
    looks at all latents of the image.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self._grid = (shape.grid, shape.grid)
        self.query_norm = nn.LayerNorm(shape.narrow)
        self.key_norm = nn.LayerNorm(shape.narrow)
        self.attention = Attention(shape.narrow, shape.heads)
        self.inner_norm = nn.LayerNorm(shape.narrow)
        self.inner = nn.Linear(shape.narrow, shape.narrow)
        self.out = nn.Linear(shape.narrow, shape.width, bias=False)

    def forward(self, tokens_bd: Tensor, latents_md: Tensor, grid: GridSize) -> Tensor:
        """What is to be added to each token, [b, D]."""
        placed_bd = tokens_bd + grid_waves(grid, tokens_bd)
        told_bd = placed_bd + pool(latents_md, self._grid, grid)
        keys_md = self.key_norm(latents_md)
        found_bd = self.attention(self.query_norm(told_bd), keys_md)
        inner_bd = self.inner(self.inner_norm(told_bd + found_bd))
        delta_bD: Tensor = self.out(nn.functional.gelu(inner_bd))
        return delta_bD
