"""Latents look around: at all others, at the same place of the others, and at the prompt.

Blocks of one shape go through in batches of any shape.

Letters: N images of a block; M images of earlier blocks or, once seen, up to and with it;
m latents of an image; T tokens of the prompt up to the block; d narrow width.
"""

import torch
from torch import Tensor, nn

from orchestrator.fusion.attention import Attention
from orchestrator.fusion.shape import FusionShape


class Layer(nn.Module):
    """One look around. What is switched off is not there."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.narrow)
        self.spatial = _attention(shape, is_on=shape.spatial)
        self.positions = _attention(shape, is_on=shape.positions)
        self.text = _attention(shape, is_on=shape.text)
        self.inner_norm = nn.LayerNorm(shape.narrow)
        self.inner = nn.Linear(shape.narrow, 4 * shape.narrow, bias=False)
        self.outer = nn.Linear(4 * shape.narrow, shape.narrow, bias=False)

    def forward(
        self, latents_Nmd: Tensor, earlier_Mmd: Tensor, text_Td: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Take the latents of a block one step further.

        Args:
            latents_Nmd: Of the block.
            earlier_Mmd: What this layer has seen of earlier blocks.
            text_Td: The prompt so far.

        Returns:
            The latents, and what the layer has seen now, for later blocks.
        """
        normed_Nmd = self.norm(latents_Nmd)
        seen_Mmd = torch.cat([earlier_Mmd, normed_Nmd], dim=-3)
        new_Nmd = latents_Nmd + self._around(normed_Nmd, seen_Mmd, text_Td)
        inner_Nm4d = nn.functional.gelu(self.inner(self.inner_norm(new_Nmd)))
        return new_Nmd + self.outer(inner_Nm4d), seen_Mmd

    def _around(self, own_Nmd: Tensor, seen_Mmd: Tensor, text_Td: Tensor) -> Tensor:
        flat_Qd = own_Nmd.flatten(-3, -2)
        found_Nmd = torch.zeros_like(own_Nmd)
        if self.spatial is not None:
            all_Kd = seen_Mmd.flatten(-3, -2)
            found_Nmd = found_Nmd + self.spatial(flat_Qd, all_Kd).view_as(own_Nmd)
        if self.positions is not None:
            # Each place is a batch entry of its own, in which images are what attends.
            own_mNd = own_Nmd.transpose(-3, -2)
            there_mNd = self.positions(own_mNd, seen_Mmd.transpose(-3, -2))
            # Only how the others differ: nothing where all are alike.
            apart_mNd = there_mNd - self.positions.alone(own_mNd)
            found_Nmd = found_Nmd + apart_mNd.transpose(-3, -2)
        if self.text is not None:
            found_Nmd = found_Nmd + self.text(flat_Qd, text_Td).view_as(own_Nmd)
        return found_Nmd


def _attention(shape: FusionShape, *, is_on: bool) -> Attention | None:
    return Attention(shape.narrow, shape.heads) if is_on else None
