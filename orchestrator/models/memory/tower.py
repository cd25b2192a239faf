"""Bytes of one patch in the vision tower."""

from orchestrator.models.memory.recipe import WIDE, Recipe
from orchestrator.models.memory.shape import TowerShape

_DOUBLE = 8


def passing(tower: TowerShape, recipe: Recipe) -> int:
    """Most bytes of a patch while the tower runs without a graph."""
    blocks = max(_block(tower, recipe), _embedding(tower, recipe))
    return max(_normalising(tower, recipe), _pixels(tower, recipe) + blocks)


def _pixels(tower: TowerShape, recipe: Recipe) -> int:
    """A patch as bytes, as numbers, and in the tower's format: held until it is through."""
    copy = tower.pixels * recipe.itemsize * recipe.is_narrow
    return tower.pixels * WIDE + copy + tower.pixel_bytes * recipe.on_gpu


def _normalising(tower: TowerShape, recipe: Recipe) -> int:
    # Bytes become float64, scaled ones are another copy.
    return tower.pixel_bytes * (2 * _DOUBLE + recipe.on_gpu)


def _embedding(tower: TowerShape, recipe: Recipe) -> int:
    # The pixels as columns, and what comes of them.
    columns = tower.pixels * recipe.itemsize * recipe.is_narrow
    return columns + 2 * tower.width * recipe.itemsize


def _block(tower: TowerShape, recipe: Recipe) -> int:
    base, wide, inner = recipe.itemsize, tower.width, tower.inner
    # The sum, its norm, and queries, keys and values in one piece.
    around = wide * base * 5
    # Turning keys: both widened, queries turned, and four more on the way.
    turning = wide * WIDE * (4 + 2 * recipe.is_narrow)
    # All that attention found, joined, and projected.
    finding = wide * base * 5
    perceptron = wide * base * 2 + inner * base * (3 if tower.gated or tower.quick else 2)
    norm = wide * (base + 3 * WIDE) if tower.gated else 0
    return max(around + max(turning, finding), perceptron, norm)


def learned_kept(tower: TowerShape, recipe: Recipe) -> int:
    """What a patch keeps of all blocks where the tower trains."""
    base, wide, inner = recipe.itemsize, tower.width, tower.inner
    norm = wide * (base + WIDE * recipe.is_narrow) if tower.gated else 0
    # Twice: what goes in, and what its norm makes of it.
    sums = 2 * (2 * wide * base + norm)
    # Three in one piece, two of them turned, what attention found, and joined.
    attention = 7 * wide * base
    copies = 4 if tower.gated else 3 if tower.quick else 2
    return tower.layers * (sums + attention + copies * inner * base)


def learned_backward(tower: TowerShape, recipe: Recipe) -> int:
    """Most bytes of a patch beside that: the last block's perceptron backwards."""
    return (3 * tower.inner + 2 * tower.width) * recipe.itemsize


def rounded(tower: TowerShape, recipe: Recipe) -> int:
    """Bytes of weights that train, rounded to the base's format while they compute."""
    if not recipe.is_narrow or recipe.unfreeze == "none":
        return 0
    open_ = tower.weights if recipe.unfreeze == "tower" else tower.projector_weights
    return open_ * recipe.itemsize
