"""What counts: of each image, and among them.

Letters: N images of a block; n tokens of an image; m latents of it; d narrow width.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from orchestrator.fusion.pooling import GridSize, pool
from orchestrator.fusion.shape import FusionShape

MOST = 8.0
"""Scores stay within this, so that no token counts for nothing and none for all."""


class Weighing(nn.Module):
    """A score for each token of an image: how well it goes with what the latent there knows.

    The latent has looked at the prompt and at the other images. So a token may count for being
    what was asked for, or for being unlike all others.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self._grid = (shape.grid, shape.grid)
        # Starts at 0: all tokens count alike.
        self.token = nn.Linear(shape.narrow, shape.narrow)
        self.norm = nn.LayerNorm(shape.narrow)
        self.latent = nn.Linear(shape.narrow, shape.narrow, bias=False)

    def forward(self, tokens_nd: Tensor, latents_md: Tensor, grid: GridSize) -> Tensor:
        """Scores [n], between -8 and 8."""
        known_nd = pool(self.latent(self.norm(latents_md)), self._grid, grid)
        score_n = (self.token(tokens_nd) * known_nd).sum(-1) / math.sqrt(known_nd.shape[-1])
        bounded_n: Tensor = MOST * (score_n / MOST).tanh()
        return bounded_n


def weigh(scores: Sequence[Tensor]) -> Tensor:
    """Weights [N] that add up to 1, of images with these scores [n] of their tokens each.

    An image weighs what its tokens count, on average.
    """
    mass_N = torch.stack([score_n.exp().mean(-1) for score_n in scores], dim=-1)
    return mass_N / mass_N.sum(-1, keepdim=True)
