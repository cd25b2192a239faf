"""A conversation of several blocks with images of several sizes, and fusions for it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from orchestrator.fusion.module import Fused, Fusion, Sample
from orchestrator.fusion.pooling import GridSize, merge
from orchestrator.fusion.shape import FusionShape

WIDTH = 24
SHAPE = FusionShape(width=WIDTH, budget=None, narrow=16, grid=2, heads=2)
TIGHT = replace(SHAPE, budget=20)
GRIDS = ((3, 4), (4, 3), (2, 5), (4, 4), (3, 3))


def make_sample(
    grids: Sequence[GridSize] = GRIDS,
    blocks: Sequence[int] = (0, 0, 0, 2, 2),
    text_blocks: Sequence[int] = (0, 0, 0, 0, 1, 1, 2, 2),
    *,
    seed: int = 0,
    width: int = WIDTH,
    dtype: torch.dtype = torch.float32,
) -> Sample:
    """Random features and text."""
    generator = torch.Generator().manual_seed(seed)

    def random(count: int) -> Tensor:
        return torch.randn(count, width, generator=generator).to(dtype)

    features = tuple(random(down * across) for down, across in grids)
    return Sample(
        features,
        np.array(grids, np.int64).reshape(-1, 2),
        np.array(blocks, np.int64),
        random(len(text_blocks)),
        np.array(text_blocks, np.int64),
    )


def opened(shape: FusionShape, seed: int = 0) -> Fusion:
    """A fusion that is no longer the identity, and weights images unequally."""
    fusion = Fusion(shape, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in fusion.named_parameters():
        if name.endswith(("gate_D", "weighing.token.weight", ".bias")):
            parameter.data.normal_(std=0.5, generator=generator)
    return fusion


def base_of(fused: Fused, sample: Sample) -> list[Tensor]:
    """The images brought to the grids that they were given, by plain means."""
    images = zip(sample.features, sample.grids_N2, fused.grids_N2, strict=True)
    return [
        merge(features, torch.zeros(len(features)), tuple(grid), tuple(kept))
        for features, grid, kept in images
    ]


def same_bits(one: Any, other: Any) -> bool:
    """Whether tensors, or sequences of them, are equal to the bit, signs of zeros included."""
    if isinstance(one, Tensor):
        view = {2: torch.int16, 4: torch.int32, 8: torch.int64}[one.element_size()]
        return one.dtype == other.dtype and torch.equal(one.view(view), other.view(view))
    return len(one) == len(other) and all(map(same_bits, one, other))
