"""Multiplications of one micro-batch, and the seconds that a device takes for them."""

from dataclasses import dataclass

from orchestrator.models.memory.recipe import Recipe
from orchestrator.models.memory.shape import ModelShape, TextShape, TowerShape
from orchestrator.models.memory.sketch import Sketch

_FLOP = 2
"""A multiplication and an addition."""
_TERA = 1e12


@dataclass(frozen=True)
class Work:
    """Floating-point operations of forward and backward."""

    tower: float
    language: float
    """With its head."""
    again: float
    """What is done twice to save memory; it is not in the others."""

    @property
    def useful(self) -> float:
        """What a device with memory for everything would do."""
        return self.tower + self.language

    @property
    def total(self) -> float:
        """All of it."""
        return self.useful + self.again

    def seconds(self, tflops: float) -> float:
        """How long a device takes that does so many TFLOP a second on such products."""
        return self.total / (tflops * _TERA)


def work(shape: ModelShape, recipe: Recipe, sketch: Sketch) -> Work:
    """Count one micro-batch.

    Args:
        shape: The model.
        recipe: How it is trained.
        sketch: The micro-batch.
    """
    tower = _tower_forward(shape.tower, sketch)
    layers = _layers_forward(shape.text, sketch)
    adapter = _FLOP * sketch.tokens * shape.text.adapter_weights(recipe.rank)
    head = _FLOP * sketch.label_tokens * shape.text.vocabulary * shape.text.width
    # The base is frozen: backward makes gradients of what goes in, and none of weights.
    language = 2 * layers + 3 * adapter + 2 * head
    again = (layers + adapter) * recipe.recompute
    if recipe.unfreeze == "tower":
        return Work(3 * tower, language, again + tower)
    return Work(tower, language, again)


def _layers_forward(text: TextShape, sketch: Sketch) -> float:
    products = sketch.tokens * text.layers * text.layer_weights
    # Half of the pairs, as nobody looks ahead; scores, and what they weigh.
    attention = sketch.token_pairs * text.query_width * text.layers
    return float(_FLOP * (products + attention))


def _tower_forward(tower: TowerShape, sketch: Sketch) -> float:
    blocks = sketch.patches * (tower.pixels * tower.width + tower.layers * tower.layer_weights)
    projectors = sketch.image_tokens * tower.projector_weights
    seen = min(tower.window_patches, sketch.largest_patches) * sketch.patches
    pairs = tower.windows * seen + (tower.layers - tower.windows) * sketch.patch_pairs
    return float(_FLOP * (blocks + projectors + 2 * pairs * tower.width))
