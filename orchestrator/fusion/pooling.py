"""Fewer tokens, or others: each is the mean of the part of the image that it covers.

Two small matrix products, as torch's own pooling adds in no fixed order on a GPU.

Letters: n tokens of an image, row by row; h, w tokens down and across; b tokens afterwards;
D width of a token.
"""

from collections.abc import Callable
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
    return _add_up(features_nD, grid, to_grid, _overlaps).to(features_nD.dtype)


def merge(features_nD: Tensor, score_n: Tensor, grid: GridSize, to_grid: GridSize) -> Tensor:
    """Merge the tokens of an image into fewer: means in which each counts ``exp(score)`` times.

    A plain mean over a part of an image shows all that is in it at once, and so nothing
    clearly. No token is cut: what matters in one would show in several.

    Args:
        features_nD: As for ``pool``.
        score_n: A score for each token, of some tens at most. If all are 0 it is a plain mean.
        grid: The tokens' grid.
        to_grid: The grid to bring them to, no larger.

    Returns:
        [b, D] as for ``pool``.
    """
    if grid == to_grid:
        return features_nD
    counts_n1 = score_n.exp()[..., None]
    total_bD = _add_up(counts_n1 * features_nD, grid, to_grid, _parts)
    pooled_bD = total_bD / _add_up(counts_n1, grid, to_grid, _parts)
    return pooled_bD.to(features_nD.dtype)


def _add_up(
    each_nX: Tensor, grid: GridSize, to_grid: GridSize, shares: Callable[..., Tensor]
) -> Tensor:
    """Sums [b, X] of the old cells, by how much of each is in a new one."""
    wide = torch.promote_types(each_nX.dtype, torch.float32)
    rows, columns = (
        shares(size, to_size, wide, each_nX.device)
        for size, to_size in zip(grid, to_grid, strict=True)
    )
    by_row = rows @ torch.unflatten(each_nX.to(wide), -2, grid).flatten(-2)
    summed = columns @ torch.unflatten(by_row, -1, (grid[1], -1))
    return summed.flatten(-3, -2)


@lru_cache(maxsize=1024)
def _overlaps(size: int, to_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Shares [to_size, size] of the old cells of a line in each of its new cells."""
    edges, to_edges = np.arange(size + 1) * to_size, np.arange(to_size + 1) * size
    start = np.maximum(to_edges[:-1, None], edges[None, :-1])
    end = np.minimum(to_edges[1:, None], edges[None, 1:])
    shares = np.maximum(end - start, 0) / size
    return _kept(shares, dtype, device)


@lru_cache(maxsize=1024)
def _parts(size: int, to_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Ones [to_size, size] where an old cell of a line belongs to a new one: each to one."""
    edges = (2 * np.arange(to_size + 1) * size + to_size) // (2 * to_size)
    cells = np.arange(size)
    is_part = (edges[:-1, None] <= cells) & (cells < edges[1:, None])
    return _kept(is_part, dtype, device)


def _kept(shares: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Kept for later calls, which may train where this one does not.
    with torch.inference_mode(mode=False):
        return torch.tensor(shares, dtype=dtype, device=device)
