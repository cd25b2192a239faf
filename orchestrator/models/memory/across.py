"""Bytes that fusion takes: what it keeps for backward, and what one image needs on the way."""

from dataclasses import dataclass

from orchestrator.fusion.shape import AT_ONCE, FusionShape
from orchestrator.models.memory.recipe import WIDE, Recipe
from orchestrator.models.memory.sketch import Sketch


@dataclass(frozen=True)
class FusionBytes:
    """Of one micro-batch."""

    kept: int
    """Until backward is through with it, the images' own tokens included."""
    passing: int
    """At most beside that, some images or one block at a time."""


def fusion_bytes(shape: FusionShape, sketch: Sketch, recipe: Recipe) -> FusionBytes:
    """What a micro-batch's fusion takes."""
    own, pooled = sketch.image_tokens, sketch.pooled_tokens
    token = shape.width * recipe.itemsize
    if not shape.latents:
        # Pooling has no graph unless what it pools has; the images' own are let go.
        return FusionBytes(0, 2 * _at_once(sketch) * shape.width * WIDE)
    latents = sketch.images * shape.grid**2 * shape.narrow * WIDE
    text = sketch.text_tokens * token if shape.text else 0
    told = sketch.text_tokens * shape.narrow * WIDE if shape.text else 0
    # Each block's latents as looked up, as mixed, and as each layer has seen them.
    scores = own * WIDE
    kept = (own + pooled) * token + scores + text + told + latents * (3 + shape.layers)
    return FusionBytes(kept, _passing(shape, sketch, recipe))


def fusion_weights(shape: FusionShape) -> int:
    """Numbers that a fusion learns.

    Counted from its parts: see ``orchestrator.fusion``.
    """
    if not shape.latents:
        return 0
    wide, narrow = shape.width, shape.narrow
    attention, norm = 4 * narrow**2, 2 * narrow
    narrowing = 2 * wide + wide * narrow
    resampler = shape.grid**2 * narrow + 2 * norm + attention
    lifting = 3 * norm + attention + narrow * (narrow + 1) + narrow * wide
    looks = shape.spatial + shape.positions + shape.text
    layer = 2 * norm + 8 * narrow**2 + looks * attention
    text = (narrowing + norm) * shape.text
    weighing = norm + narrow * (2 * narrow + 1)
    return (
        narrowing + resampler + lifting + text + shape.layers * layer
        + weighing * shape.weights + wide
    )  # fmt: skip


def _at_once(sketch: Sketch) -> int:
    """Most tokens that go through a part of the fusion together: one image, or some alike."""
    if not sketch.patches:
        return 0
    largest = -(-sketch.largest_patches * sketch.image_tokens // sketch.patches)
    return max(largest, min(AT_ONCE, sketch.alike_tokens))


def _passing(shape: FusionShape, sketch: Sketch, recipe: Recipe) -> int:
    """Images computed again and backwards: as they are looked at, and as they are added to."""
    wide, narrow = shape.width * WIDE, shape.narrow * WIDE
    most = _at_once(sketch)
    looking = most * ((3 + recipe.is_narrow) * wide + 10 * narrow)
    kept = most if shape.budget is None else min(most, shape.budget)
    adding = kept * (8 * wide + 10 * narrow)
    return max(looking, adding)
