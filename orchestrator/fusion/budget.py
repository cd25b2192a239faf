"""Share a token budget out among images. Integers only: the same on every machine.

Letters: N images of a sample or of one of its blocks; 2 tokens down and across.
"""

import heapq
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from orchestrator.errors import PlanError
from orchestrator.plan.order import Integers

_WEIGHT_UNITS = 1 << 20
"""Steps of a weight: coarse beside its rounding, fine beside a token of any budget."""
_WEALTH_UNITS = 1 << 40


def share_budget(
    grids_N2: Integers,
    weights_N: npt.NDArray[np.floating],
    *,
    budget: int | None,
    floor: int,
) -> Integers:
    """Choose the grid that each image of a block is pooled to.

    Each image starts at its floor. Whoever then has least for its weight gets one row or column
    more, the one that brings its grid nearer to its own proportions, until nothing fits.

    Args:
        grids_N2: Tokens down and across.
        weights_N: How much each image counts; only proportions matter.
        budget: The most tokens of all together; None is no limit.
        floor: Tokens that an image keeps, or all that it has if these are fewer. An image none
            of whose grids has just so many gets a few more, or where the budget is too tight
            for that, a few less.

    Returns:
        A grid each, never larger than the image's own in either direction. All images are left
        as they are if they fit together. Of equal images with equal weights none has more than
        a row or a column of tokens over another; the first ones get what is left.

    Raises:
        PlanError: The floors alone are over the budget.
    """
    if budget is None or int(grids_N2.prod(axis=1).sum()) <= budget:
        return grids_N2.astype(np.int64)
    if budget < len(grids_N2) * floor:
        raise PlanError(
            f"a budget of {budget} tokens for {len(grids_N2)} images of at least {floor}",
            "fusion.budget",
            f"Set it to at least {len(grids_N2) * floor}, or fusion.floor lower",
        )
    shares = _floors(grids_N2, floor, budget)
    _enlarge(shares, _whole(weights_N), budget - sum(share.tokens for share in shares))
    return np.array([(share.down, share.across) for share in shares], np.int64)


def fused_tokens(
    tokens_N: npt.NDArray[np.integer], blocks_N: npt.NDArray[np.integer], budget: int | None
) -> int:
    """The most tokens that the images of a sample become.

    Args:
        tokens_N: Tokens of each image.
        blocks_N: Block of each image.
        budget: The most tokens of a block; None is no limit.
    """
    if budget is None:
        return int(tokens_N.sum())
    blocks = np.unique(blocks_N)
    return sum(min(int(tokens_N[blocks_N == block].sum()), budget) for block in blocks)


@dataclass(slots=True)
class _Share:
    """An image's own grid, and the part of it that it has so far."""

    height: int
    width: int
    down: int = 1
    across: int = 1

    @property
    def tokens(self) -> int:
        return self.down * self.across

    def next_steps(self) -> list[tuple[int, int]]:
        """The grids that are one row or column larger, the better proportioned first."""
        row, column = (self.down + 1, self.across), (self.down, self.across + 1)
        is_flat = self.down * self.width <= self.across * self.height
        steps = [row, column] if is_flat else [column, row]
        return [step for step in steps if step[0] <= self.height and step[1] <= self.width]

    def grow(self, room: int) -> int:
        """Take the best step that needs at most ``room`` more tokens; returns what it took."""
        for down, across in self.next_steps():
            more = down * across - self.tokens
            if more <= room:
                self.down, self.across = down, across
                return more
        return 0


def _floors(grids_N2: Integers, floor: int, budget: int) -> list[_Share]:
    """Each image at its floor: well proportioned if there is room for that, else small."""
    for choose in (_grown_grid, _least_grid, _most_grid):
        shares = [
            _Share(height, width, *choose(height, width, floor))
            for height, width in grids_N2.tolist()
        ]
        if sum(share.tokens for share in shares) <= budget:
            return shares
    raise AssertionError("the largest grids of at most the floor are over the budget")


def _grown_grid(height: int, width: int, tokens: int) -> tuple[int, int]:
    """The first of at least ``tokens`` that growing by rows and columns comes to."""
    share = _Share(height, width)
    while share.tokens < tokens and share.grow(tokens):
        pass
    return share.down, share.across


def _least_grid(height: int, width: int, tokens: int) -> tuple[int, int]:
    """The smallest of at least ``tokens``, the best proportioned of several."""
    grids = [(down, -(-tokens // down)) for down in range(1, height + 1)]
    fitting = [grid for grid in grids if grid[1] <= width] or [(height, width)]
    return min(fitting, key=lambda grid: (grid[0] * grid[1], _distortion(grid, height, width)))


def _most_grid(height: int, width: int, tokens: int) -> tuple[int, int]:
    """The largest of at most ``tokens``, the best proportioned of several."""
    grids = [(down, min(width, tokens // down)) for down in range(1, min(height, tokens) + 1)]
    return min(grids, key=lambda grid: (-grid[0] * grid[1], _distortion(grid, height, width)))


def _distortion(grid: tuple[int, int], height: int, width: int) -> Fraction:
    """How far a grid's proportions are from the image's: 1 if they are the same."""
    sides = (grid[0] * width, grid[1] * height)
    return Fraction(max(sides), min(sides))


def _whole(weights_N: npt.NDArray[np.floating]) -> list[int]:
    """Weights as whole numbers of at least 1, so that rounding does not choose between equals.

    A weight that is no number counts least: what is computed with it is none either, and that
    is found where the loss is.
    """
    weights_N = np.nan_to_num(weights_N.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    total = max(float(weights_N.sum()), 1e-30)
    return [max(1, round(weight / total * _WEIGHT_UNITS)) for weight in weights_N.tolist()]


def _enlarge(shares: list[_Share], weights: list[int], room: int) -> None:
    """Hand out ``room`` tokens, each time to whoever has least for its weight."""
    pairs = zip(shares, weights, strict=True)
    queue = [(_wealth(share, weight), number) for number, (share, weight) in enumerate(pairs)]
    heapq.heapify(queue)
    while queue:
        _, number = heapq.heappop(queue)
        taken = shares[number].grow(room)
        # Who cannot grow now never can again: the room only gets smaller.
        if taken:
            room -= taken
            heapq.heappush(queue, (_wealth(shares[number], weights[number]), number))


def _wealth(share: _Share, weight: int) -> int:
    return share.tokens * _WEALTH_UNITS // weight
