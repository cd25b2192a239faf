"""Fuse the images of one conversation: what the language model gets in place of their tokens.

A conversation's images fall into blocks, parted by its answers. A block is computed from itself
and earlier blocks, and from the text before the answer that follows it: so what an answer
sees does not depend on what comes after it, and no answer is ever looked at.

Letters: N images of a sample or block; n tokens of an image, b that it keeps; T text tokens;
D width of the language model; 2 tokens down and across.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.fusion.across import Across
from orchestrator.fusion.batches import in_batches, recomputed
from orchestrator.fusion.budget import share_budget
from orchestrator.fusion.initial import draw
from orchestrator.fusion.pooling import GridSize, merge
from orchestrator.fusion.shape import FusionShape
from orchestrator.fusion.weighing import weigh
from orchestrator.plan.order import Integers

__all__ = ["Fused", "Fusion", "Sample", "merge"]


@dataclass(frozen=True)
class Sample:
    """What fusion gets of one conversation; tensors on one device and without a graph.

    Args:
        features: Tokens [n, D] of each image, row by row.
        grids_N2: Their grids.
        blocks_N: Block of each image, ascending.
        text_TD: Embeddings of the text: no images, no answers.
        text_blocks_T: The first block that may see each token, ascending.
    """

    features: tuple[Tensor, ...]
    grids_N2: Integers
    blocks_N: Integers
    text_TD: Tensor
    text_blocks_T: Integers


@dataclass(frozen=True)
class Fused:
    """What the language model gets.

    Args:
        features: Tokens [b, D] of each image, in the format they came in.
        grids_N2: Their grids.
        weights_N: How much each image counts; they add up to 1 in each block.
        scores: How much each of an image's own tokens [n] counts.
    """

    features: tuple[Tensor, ...]
    grids_N2: Integers
    weights_N: Tensor
    scores: tuple[Tensor, ...]


@dataclass(frozen=True)
class _Block:
    """A sample's images between two answers, and the text since the block before."""

    features: tuple[Tensor, ...]
    grids_N2: Integers
    text_TD: Tensor


class Fusion(nn.Module):
    """Images under a budget, with what they are to each other and to the prompt added.

    Starts as the identity: while images fit the budget their tokens pass to the bit, and
    above it the pooled ones do.
    """

    def __init__(self, shape: FusionShape, seed: int | None) -> None:
        """Draw the parameters, float32 on the CPU.

        Args:
            shape: Which parts there are, and how large.
            seed: Of the run; a parameter depends on it and its name alone. None leaves them
                without memory, to be assigned.
        """
        super().__init__()
        self.shape = shape
        # Without memory at first, or layers would draw numbers from torch's own generator.
        with torch.device("meta"):
            self.across = Across(shape) if shape.latents else None
        if seed is not None:
            self.to_empty(device="cpu")
            draw(self, seed)

    def forward(self, sample: Sample) -> Fused:
        """Fuse one sample. Nothing depends on which others are in its micro-batch.

        Raises:
            PlanError: The budget has no room for the floors of a block's images.
        """
        seen = self.across.nothing_seen() if self.across else []
        parts = []
        for block in _blocks(sample):
            part, seen = self._fuse_block(block, seen)
            parts.append(part)
        return _join(parts, sample)

    def _fuse_block(self, block: _Block, seen: list[Tensor]) -> tuple[Fused, list[Tensor]]:
        if self.across is None:
            device = block.text_TD.device
            scores = [torch.zeros(len(features), device=device) for features in block.features]
            return self._pool(block, scores), seen
        own = _sizes(block.grids_N2)
        looks = in_batches(self.across.look, _keys(own), block.features)
        mixed_Nmd, *seen = recomputed(self.across.mix, torch.stack(looks), block.text_TD, *seen)
        scores = in_batches(self.across.score, _keys(own), block.features, [*mixed_Nmd])
        pooled = self._pool(block, scores)
        amounts_N = pooled.weights_N * len(pooled.weights_N)
        to = _sizes(pooled.grids_N2)
        fused = in_batches(
            self.across.add, _keys(to), pooled.features, [*mixed_Nmd], [*amounts_N]
        )
        return replace(pooled, features=tuple(fused)), seen

    def _pool(self, block: _Block, scores: Sequence[Tensor]) -> Fused:
        """The base path: the images of a block brought to grids within the budget."""
        budget, floor = self.shape.budget, self.shape.floor
        weights_N = weigh(scores)
        fits = budget is None or sum(map(len, block.features)) <= budget
        # Reading weights waits for the device, so only where they decide something.
        shares_N = np.ones(len(weights_N)) if fits else weights_N.detach().cpu().numpy()
        grids_N2 = share_budget(block.grids_N2, shares_N, budget=budget, floor=floor)
        pairs = [*zip(_sizes(block.grids_N2), _sizes(grids_N2), strict=True)]
        smaller = [number for number, (own, to) in enumerate(pairs) if own != to]
        merged = in_batches(
            merge,
            [pairs[number] for number in smaller],
            [block.features[number] for number in smaller],
            [scores[number] for number in smaller],
        )
        features = [*block.features]
        for number, tokens_bD in zip(smaller, merged, strict=True):
            features[number] = tokens_bD
        return Fused(tuple(features), grids_N2, weights_N, tuple(scores))


def _blocks(sample: Sample) -> list[_Block]:
    assert (np.diff(sample.blocks_N) >= 0).all(), f"blocks {sample.blocks_N}"
    assert (np.diff(sample.text_blocks_T) >= 0).all(), f"text {sample.text_blocks_T}"
    blocks, told = [], 0
    for number in np.unique(sample.blocks_N):
        first, end = np.searchsorted(sample.blocks_N, [number, number + 1])
        told_to = int(np.searchsorted(sample.text_blocks_T, number, side="right"))
        text_TD = sample.text_TD[told:told_to]
        blocks.append(_Block(sample.features[first:end], sample.grids_N2[first:end], text_TD))
        told = told_to
    return blocks


def _keys(grids: Sequence[GridSize]) -> list[tuple[GridSize]]:
    return [(grid,) for grid in grids]


def _sizes(grids_N2: Integers) -> list[GridSize]:
    return [(int(down), int(across)) for down, across in grids_N2]


def _join(parts: Sequence[Fused], sample: Sample) -> Fused:
    if not parts:
        no_weights = torch.empty(0, device=sample.text_TD.device)
        return Fused((), np.empty((0, 2), np.int64), no_weights, ())
    return Fused(
        tuple(features for part in parts for features in part.features),
        np.concatenate([part.grids_N2 for part in parts]),
        torch.cat([part.weights_N for part in parts]),
        tuple(scores for part in parts for scores in part.scores),
    )
