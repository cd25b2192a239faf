"""What is there all the time: weights, optimizer, exact sums."""

from dataclasses import dataclass

from orchestrator.models.memory.across import fusion_weights
from orchestrator.models.memory.recipe import WIDE, Recipe
from orchestrator.models.memory.shape import ModelShape

_UNIT = 8
_SCRATCH = 16 << 20
"""Pieces in which gradients are rounded and steps are taken: see ``train.pieces``."""
_GPU_SCRATCH = 96 << 20
"""The same on a GPU, where pieces are larger."""
_WORKSPACES = 180 << 20
"""Of CUDA's libraries, after a step on an H200."""


@dataclass(frozen=True)
class Resident:
    """Bytes on the device between two micro-batches."""

    weights: int
    """The base."""
    trained: int
    """Adapter, fusion and what else trains: float32 and the optimizer's two moments."""
    sums: int
    """Exact sums, and the gradients of a micro-batch while they are added."""
    scratch: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.trained + self.sums + self.scratch


def resident(shape: ModelShape, recipe: Recipe) -> Resident:
    """Forecast what is there all the time."""
    trained, open_ = trained_weights(shape, recipe), unfrozen_weights(shape, recipe)
    frozen = (shape.weights - open_) * recipe.itemsize
    if recipe.members > 1:
        # A block is gathered while another is worked on; so is the embedding, or the head.
        text = shape.text
        gathered = max(2 * text.layer_weights, text.vocabulary * text.width)
        frozen = frozen // recipe.members + gathered * recipe.itemsize
    # On a CPU what is reduced is a copy in the same memory.
    sums = trained * (WIDE + _UNIT * (1 if recipe.on_gpu else 2))
    scratch = _GPU_SCRATCH + _WORKSPACES if recipe.on_gpu else _SCRATCH
    return Resident(frozen, trained * 3 * WIDE, sums, scratch)


def unfrozen_weights(shape: ModelShape, recipe: Recipe) -> int:
    """Numbers of the tower that train."""
    if recipe.unfreeze == "tower":
        return shape.tower.weights
    return shape.tower.projector_weights if recipe.unfreeze == "projector" else 0


def trained_weights(shape: ModelShape, recipe: Recipe) -> int:
    """Numbers that train."""
    fusion = fusion_weights(recipe.fusion) if recipe.fusion else 0
    adapter = shape.text.adapter_weights(recipe.rank)
    return adapter + fusion + unfrozen_weights(shape, recipe)
