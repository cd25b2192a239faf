"""Where something stands, as sines and cosines: no parameters, and no end.

Of d channels the first half says where in a picture, the second half where in an order: which
image of the conversation, or which token of the text.

Letters: n places of a grid, row by row; N images or tokens in order; d channels; F rates.

Source: Vaswani et al. 2017, section 3.5.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from orchestrator.fusion.pooling import GridSize


def grid_waves(grid: GridSize, like: Tensor) -> Tensor:
    """Waves [n, d] for the places of a grid, in the format and on the device of ``like_..d``.

    Places are relative to the picture: grids of any size agree on where its middle is.
    """
    channels = like.shape[-1] // 4
    down, across = (_line(size, channels, like.dtype, like.device) for size in grid)
    both = torch.cat(
        [down[:, None].expand(-1, grid[1], -1), across[None].expand(grid[0], -1, -1)], dim=-1
    )
    return pad(both.flatten(0, 1), (0, 2 * channels))


def order_waves(first: int, count: int, like: Tensor) -> Tensor:
    """Waves [N, d] for the numbers from ``first`` on, as ``like_..d``."""
    channels = like.shape[-1] // 2
    rates_F = _order_rates(channels, like.dtype, like.device)
    numbers_N = torch.arange(first, first + count, dtype=like.dtype, device=like.device)
    angles_NF = numbers_N[:, None] * rates_F
    waves = torch.cat([angles_NF.sin(), angles_NF.cos()], dim=-1)
    return pad(waves, (channels, 0))


@lru_cache(maxsize=1024)
def _line(size: int, channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Waves [size, channels] along one side: from half a wave a picture to 16."""
    middles = (np.arange(size) + 0.5) / size
    angles = middles[:, None] * np.geomspace(np.pi, 32 * np.pi, channels // 2)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return _kept(waves, dtype, device)


@lru_cache(maxsize=16)
def _order_rates(channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _kept(np.geomspace(1.0, 1e-4, channels // 2), dtype, device)


def _kept(values: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Kept for later calls, which may train where this one does not.
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=dtype, device=device)
