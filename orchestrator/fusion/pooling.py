"""Area pooling: each new token is the mean of the part of the image that it covers.

Two small matrix products, as torch's own pooling adds in no fixed order on a GPU.

Letters: n tokens of an image, row by row; h, w tokens down and across; b tokens afterwards;
D width of a token.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

GridSize = tuple[int, int]
"""Tokens down and across."""


def pool(features_nD: Tensor, grid: GridSize, to_grid: GridSize) -> Tensor:
    """Bring an image to another grid.

    Args:
        features_nD: Tokens of any format, row by row, of one image or a batch of any shape.
        grid: Their grid.
        to_grid: The grid to bring them to; where it is larger, tokens repeat.

    Returns:
        [b, D] in the same format, added up in float32 at least; ``features_nD`` itself if
        the grids are the same.
    """
    if grid == to_grid:
        return features_nD
    (h, w), (to_h, to_w) = grid, to_grid
    wide = torch.promote_types(features_nD.dtype, torch.float32)
    rows = _overlaps(h, to_h, wide, features_nD.device)
    columns = _overlaps(w, to_w, wide, features_nD.device)
    by_row = rows @ torch.unflatten(features_nD.to(wide), -2, (h, w)).flatten(-2)
    pooled = columns @ torch.unflatten(by_row, -1, (w, -1))
    return pooled.flatten(-3, -2).to(features_nD.dtype)


@lru_cache(maxsize=1024)
def _overlaps(size: int, to_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Shares [to_size, size] of the old cells of a line in each of its new cells."""
    edges, to_edges = np.arange(size + 1) * to_size, np.arange(to_size + 1) * size
    start = np.maximum(to_edges[:-1, None], edges[None, :-1])
    end = np.minimum(to_edges[1:, None], edges[None, 1:])
    shares = np.maximum(end - start, 0) / size
    # Kept for later calls, which may train where this one does not.
    with torch.inference_mode(mode=False):
        return torch.tensor(shares, dtype=dtype, device=device)
