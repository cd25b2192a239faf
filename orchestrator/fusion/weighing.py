"""How much each image of a block counts.

Letters: N images of a block; m latents of an image; T tokens of the prompt; d narrow width.
"""

import math

import torch
from torch import Tensor, nn

from orchestrator.fusion.attention import Attention
from orchestrator.fusion.shape import FusionShape


class Weighing(nn.Module):
    """Weights from what the images hold, what is asked, and how many there are."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.narrow)
        self.text = Attention(shape.narrow, shape.heads) if shape.text else None
        sources = 2 if shape.text else 1
        self.inner = nn.Linear(sources * shape.narrow + 1, shape.narrow)
        # Starts at 0: all images count alike.
        self.out = nn.Linear(shape.narrow, 1, bias=False)

    def forward(self, latents_Nmd: Tensor, text_Td: Tensor) -> Tensor:
        """Weights [N] that add up to 1."""
        pooled_Nd = self.norm(latents_Nmd.mean(dim=-2))
        how_many = math.log(pooled_Nd.shape[-2])
        known = [pooled_Nd, torch.full_like(pooled_Nd[..., :1], how_many)]
        if self.text is not None:
            known.append(self.text(pooled_Nd, text_Td))
        scores_N1 = self.out(nn.functional.gelu(self.inner(torch.cat(known, dim=-1))))
        return torch.softmax(scores_N1[..., 0], dim=-1)
