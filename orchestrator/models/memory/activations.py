"""The most that a micro-batch takes beside what is always there, and what of it is kept.

A pass goes through moments, each with its own memory; the largest counts.
"""

from dataclasses import asdict, dataclass

from orchestrator.models.chunks import CHUNK_LOGITS
from orchestrator.models.memory.across import FusionBytes, fusion_bytes
from orchestrator.models.memory.language import layer_bytes
from orchestrator.models.memory.recipe import WIDE, Recipe
from orchestrator.models.memory.resident import trained_weights
from orchestrator.models.memory.shape import ModelShape
from orchestrator.models.memory.sketch import Sketch
from orchestrator.models.memory.tower import (
    learned_backward,
    learned_kept,
    passing,
    rounded,
)

_LOGIT = 12
"""Bytes of a logit with all that is computed from it: see ``models.label_loss``."""
_INTEGERS = 8 * 8
"""Ids, four positions, and what the model makes of them, of one token."""


@dataclass(frozen=True)
class Moments:
    """Bytes at each of a pass's moments."""

    tower: int
    """Images pass through the tower, behind them the tokens of those that have."""
    fusion: int
    """Images become few tokens."""
    entrance: int
    """Images take their places among the words."""
    head: int
    """A chunk of logits, and its gradient."""
    last_layer: int
    """Backwards through the last layer: all layers' activations are there."""
    first_layer: int
    """Backwards through the first layer: all gradients are there."""
    fusion_backward: int
    tower_backward: int

    @property
    def peak(self) -> int:
        """The largest."""
        return max(int(size) for size in asdict(self).values())


@dataclass(frozen=True)
class Activations:
    """What one micro-batch takes beside what is always there."""

    moments: Moments
    saved: int
    """Kept between forward and backward."""

    @property
    def peak(self) -> int:
        """The most at once."""
        return self.moments.peak


def activations(shape: ModelShape, recipe: Recipe, sketch: Sketch) -> Activations:
    """Forecast one micro-batch.

    Args:
        shape: The model.
        recipe: How it is trained.
        sketch: The micro-batch.
    """
    return _Row(shape, recipe, sketch).activations()


class _Row:
    """A micro-batch in numbers of bytes."""

    def __init__(self, shape: ModelShape, recipe: Recipe, sketch: Sketch) -> None:
        self._shape, self._recipe, self._sketch = shape, recipe, sketch
        self._base = recipe.itemsize
        self._width = shape.text.width * self._base
        self._features = sketch.image_tokens * self._width * shape.tower.projectors
        self._fused = sketch.fused_tokens * self._width * shape.tower.projectors
        self._layer = layer_bytes(shape.text, recipe)

    def activations(self) -> Activations:
        saved = self._rows() + self._kept_by_layers() + self._kept_by_images()
        gradients = trained_weights(self._shape, self._recipe) * WIDE
        text = self._shape.text
        adapter = text.adapter_weights(self._recipe.rank) * WIDE
        labels = self._sketch.label_tokens * self._width
        tokens = self._sketch.tokens
        backward = tokens * (self._layer.backward + self._once())
        rest = self._rows() + self._kept_by_images()
        moments = Moments(
            tower=self._tower(),
            fusion=self._features + self._fusion().kept + self._fusion().passing,
            entrance=self._rows() + self._entrance(),
            head=saved + self._in_hand() + tokens * self._width + 2 * labels + self._logits(),
            last_layer=saved + backward,
            first_layer=rest
            + adapter * (text.layers - 1) // text.layers
            + backward
            + tokens * (self._layer.given - self._unlearned()),
            fusion_backward=rest + gradients + 2 * self._fused + self._fusion().passing,
            tower_backward=self._tower_backward() + gradients,
        )
        return Activations(moments, saved + labels)

    def _rows(self) -> int:
        """Places, and their waves: the same for all layers."""
        waves = 2 * self._shape.text.head_width * self._base
        integers = _INTEGERS if self._recipe.on_gpu else 0
        return self._sketch.tokens * (waves + integers)

    def _kept_by_layers(self) -> int:
        layers, layer = self._shape.text.layers, self._layer
        if not self._recipe.recompute:
            each = layer.given + layer.kept
        elif self._recipe.offload:
            # One is on its way while another is worked on.
            each, layers = layer.given, min(layers, 2)
        else:
            each = layer.given
        last = self._shape.text.width * max(WIDE, self._base)
        less = 0 if self._recipe.recompute else self._unlearned()
        if less:
            less += layer.given
        return self._sketch.tokens * (layers * each + last - less)

    def _unlearned(self) -> int:
        """What a token of the first layer does without, where nothing before it trains."""
        fusion = self._recipe.fusion
        learns = self._recipe.learns_images or (fusion is not None and fusion.latents)
        return 0 if learns else self._layer.unlearned

    def _kept_by_images(self) -> int:
        """What backward needs on this side of the language model."""
        return self._fusion().kept + self._kept_by_tower()

    def _kept_by_tower(self) -> int:
        tower, patches = self._shape.tower, self._sketch.patches
        if self._recipe.unfreeze == "projector":
            return patches * tower.width * self._base * tower.projectors
        return patches * tower.pixels * WIDE * (self._recipe.unfreeze == "tower")

    def _once(self) -> int:
        """What a layer keeps is there again while it is worked on, if it was not kept."""
        return self._layer.kept if self._recipe.recompute else 0

    def _in_hand(self) -> int:
        """Images' tokens that are held by the caller until the loss is known."""
        return self._features if self._recipe.fusion is None else self._fused

    def _entrance(self) -> int:
        """Joined images, words, and the row that both become."""
        tokens = self._sketch.fused_tokens + 2 * self._sketch.tokens
        return self._in_hand() + self._kept_by_images() + tokens * self._width

    def _fusion(self) -> FusionBytes:
        shape = self._recipe.fusion
        if shape is None:
            return FusionBytes(0, 0)
        return fusion_bytes(shape, self._sketch, self._recipe)

    def _chunk(self) -> int:
        alone = self._recipe.learns_images or self._recipe.caches
        return self._sketch.largest_patches if alone else self._sketch.chunk_patches

    def _tower(self) -> int:
        tower, recipe = self._shape.tower, self._recipe
        # Pixels of the images before, where they are kept.
        before = self._kept_by_tower()
        if recipe.unfreeze == "tower":
            before -= self._sketch.largest_patches * tower.pixels * WIDE
        through = self._chunk() * passing(tower, recipe)
        return through + self._features + before + rounded(tower, recipe)

    def _tower_backward(self) -> int:
        tower, recipe = self._shape.tower, self._recipe
        if not recipe.learns_images:
            return 0
        largest = self._sketch.largest_patches
        # The last image comes first, and is let go.
        through = self._sketch.patches - self._sketch.patches_so_far
        # From the second image on, a gradient, what there was of it before, and their sum.
        summed = 2 * tower.merged * max(tower.merged, tower.out) * WIDE
        more = summed * (self._sketch.images > 1)
        done = self._kept_by_tower() + self._features + rounded(tower, recipe)
        if recipe.unfreeze == "projector":
            return done + more
        done -= through * tower.pixels * WIDE
        more = max(more, largest * learned_backward(tower, recipe))
        return done + largest * learned_kept(tower, recipe) + more

    def _logits(self) -> int:
        words = self._shape.text.vocabulary
        at_once = max(words, CHUNK_LOGITS // words * words)
        return min(self._sketch.label_tokens * words, at_once) * _LOGIT
