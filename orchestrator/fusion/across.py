"""All that a fusion learns: how images look at each other and at the prompt.

Letters: N images of a block; M images of earlier blocks; m latents of an image; T tokens of the
prompt; L layers; n tokens of an image, b that it keeps; D width of the language model; d narrow
width.
"""

import torch
from torch import Tensor, nn

from orchestrator.fusion.latents import Lifting, Narrowing, Resampler
from orchestrator.fusion.mixing import Layer
from orchestrator.fusion.pooling import GridSize
from orchestrator.fusion.shape import FusionShape
from orchestrator.fusion.waves import order_waves
from orchestrator.fusion.weighing import Weighing

GATE_RATE = 8.0
"""Gates open so many times as fast as numbers are learned elsewhere: an optimizer such as Adam
takes equal steps everywhere, and what is behind a closed gate learns nothing."""


class Across(nn.Module):
    """The parts with parameters, in the order that they are used in.

    The caller goes through the blocks of a sample one after the other and hands on what
    ``mix`` returned for the last one: what comes later is not there yet to be looked at.
    Images of one grid, and blocks of one shape, go through in batches too.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self._shape = shape
        self.images = Narrowing(shape)
        self.resampler = Resampler(shape)
        self.text = Narrowing(shape) if shape.text else None
        self.text_norm = nn.LayerNorm(shape.narrow) if shape.text else None
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.weighing = Weighing(shape) if shape.weights else None
        self.lifting = Lifting(shape)
        # One a channel: each opens by itself, and a step of the optimizer opens it further
        # than it could a single one for all.
        self.gate_D = nn.Parameter(torch.empty(shape.width))

    def nothing_seen(self, *batch: int) -> list[Tensor]:
        """What ``mix`` has seen before the first block, for so many samples at once."""
        narrow, places = self._shape.narrow, self._shape.grid**2
        seen = [self.gate_D.new_empty(*batch, 0, places, narrow) for _ in self.layers]
        return [self.gate_D.new_empty(*batch, 0, narrow), *seen]

    def look(self, features_nD: Tensor, grid: GridSize) -> Tensor:
        """Latents [m, d] of one image."""
        latents_md: Tensor = self.resampler(self.images(features_nD), grid)
        return latents_md

    def mix(
        self, latents_Nmd: Tensor, text_TD: Tensor, told_Td: Tensor, *seen_LMmd: Tensor
    ) -> tuple[Tensor, ...]:
        """Let the latents of a block look around.

        Args:
            latents_Nmd: As ``look`` gave them.
            text_TD: Tokens of the prompt since the last block.
            told_Td: Text before that, as returned for the last block.
            seen_LMmd: What each layer has seen, as returned for the last block.

        Returns:
            The latents [N, m, d], and text and what each layer has seen for the next block.
        """
        told_Td = self._tell(text_TD, told_Td)
        count = latents_Nmd.shape[-3]
        waves_Nd = order_waves(seen_LMmd[0].shape[-3], count, latents_Nmd)
        latents_Nmd = latents_Nmd + waves_Nd[:, None]
        seen = []
        for layer, earlier_Mmd in zip(self.layers, seen_LMmd, strict=True):
            latents_Nmd, now_Mmd = layer(latents_Nmd, earlier_Mmd, told_Td)
            seen.append(now_Mmd)
        return latents_Nmd, told_Td, *seen

    def score(self, features_nD: Tensor, latents_md: Tensor, grid: GridSize) -> Tensor:
        """How much each token [n] of an image counts, by its latents after ``mix``.

        0 for all of them without weights.
        """
        if self.weighing is None:
            return latents_md.new_zeros(features_nD.shape[:-1])
        score_n: Tensor = self.weighing(self.images(features_nD), latents_md, grid)
        return score_n

    def add(
        self, base_bD: Tensor, latents_md: Tensor, amount: Tensor, grid: GridSize
    ) -> Tensor:
        """An image's tokens with what they take from its latents, in the format they had.

        Args:
            base_bD: The tokens.
            latents_md: Of the image, after ``mix``.
            amount: The image's weight, 1 being an equal share. A scalar, or one for each image
                of a batch.
            grid: The tokens'.
        """
        delta_bD = self.lifting(self.images(base_bD), latents_md, grid)
        change_bD = (GATE_RATE * self.gate_D).tanh() * amount[..., None, None] * delta_bD
        wide_bD = base_bD.to(torch.promote_types(base_bD.dtype, change_bD.dtype))
        # 0 - change is +0 for both zeros, and x - (+0) is x to the bit; x + 0 is not for -0.
        fused_bD: Tensor = wide_bD - (0.0 - change_bD)
        return fused_bD.to(base_bD.dtype)

    def _tell(self, text_TD: Tensor, told_Td: Tensor) -> Tensor:
        if self.text is None or self.text_norm is None:
            return told_Td
        narrow_Td: Tensor = self.text(text_TD)
        waves_Td = order_waves(told_Td.shape[-2], narrow_Td.shape[-2], narrow_Td)
        normed_Td: Tensor = self.text_norm(narrow_Td + waves_Td)
        return torch.cat([told_Td, normed_Td], dim=-2)
