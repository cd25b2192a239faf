"""Images through a part of a fusion: several at once, and nothing kept of it but what went in.

Source: recomputation after Chen et al. 2016.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from orchestrator.fusion.pooling import GridSize
from orchestrator.fusion.shape import AT_ONCE

R = TypeVar("R")


def in_batches(
    function: Callable[..., Tensor],
    keys: Sequence[tuple[GridSize, ...]],
    *columns: Sequence[Tensor],
) -> list[Tensor]:
    """Call a function for each image, for as many at once as are alike and few enough.

    A GPU would wait between small images. Nothing but the images' own tensors is kept for the
    backward pass, which does the same again.

    Args:
        function: Called with a batch of each column, and the images' key.
        keys: What images of one call have to have in common, the grid that they have now first.
        columns: What each image has of one thing.

    Returns:
        The result of each image.
    """
    results: dict[int, Tensor] = {}
    for key in dict.fromkeys(keys):
        alike = [number for number, other in enumerate(keys) if other == key]
        most = max(1, AT_ONCE // math.prod(key[0]))
        for start in range(0, len(alike), most):
            some = alike[start : start + most]
            tensors = [column[number] for column in columns for number in some]
            batch = partial(_call, function, key, len(some))
            results |= zip(some, recomputed(batch, *tensors).unbind(), strict=True)
    return [results[number] for number in range(len(keys))]


def _call(
    function: Callable[..., Tensor], key: tuple[GridSize, ...], images: int, *tensors: Tensor
) -> Tensor:
    batches = [
        torch.stack(tensors[start : start + images]) for start in range(0, len(tensors), images)
    ]
    return function(*batches, *key)


def recomputed(function: Callable[..., R], *inputs: Tensor) -> R:
    """Call ``function`` and keep nothing but its inputs for the backward pass."""
    if not torch.is_grad_enabled():
        return function(*inputs)
    result: R = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
    return result
