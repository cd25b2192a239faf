"""Bytes of one token in a layer of the language model: what it keeps, and needs on the way.

In the words of the formulas: ``base`` is a number of the frozen base, ``WIDE`` one of what
trains. A layer is computed again as backward reaches it, so that all that it keeps is there at
once, beside what the first operations backwards need: that is the moment that counts.
"""

from dataclasses import dataclass

from orchestrator.models.memory.recipe import WIDE, Recipe
from orchestrator.models.memory.shape import TextShape

FLASH_SPLITS = 132
"""Multiprocessors of an H100: flash attention, where it must be deterministic, adds gradients
of queries up in as many parts as keep all of them busy, divided by its heads."""


@dataclass(frozen=True)
class LayerBytes:
    """Of one token."""

    given: int
    """What the layer reads: all that recomputing keeps."""
    kept: int
    """What backward needs beside it."""
    backward: int
    """At most beside both, computing it again and going backwards."""
    unlearned: int
    """What the first layer does without, if nothing before it is trained."""


def layer_bytes(text: TextShape, recipe: Recipe) -> LayerBytes:
    """What a layer of the language model takes."""
    given = text.width * recipe.itemsize
    attention, perceptron = _attention_kept(text, recipe), _perceptron_kept(text, recipe)
    kept = attention + perceptron
    # Where its perceptron is computed backwards everything is there; by the time its attention
    # is, what the perceptron kept is gone.
    backward = max(
        _perceptron_backward(text, recipe), _attention_backward(text, recipe) - perceptron
    )
    unlearned = _norm_kept(text.width, recipe) + 3 * text.width * recipe.noise
    return LayerBytes(given, kept, backward, unlearned)


def adapted_kept(inputs: int, recipe: Recipe, *, is_kept: bool = False) -> int:
    """What an adapted linear layer keeps of a token.

    Args:
        inputs: Its width.
        recipe: The way it is trained.
        is_kept: Its input is kept by another in the format that is wanted here.
    """
    own = recipe.drops or recipe.is_narrow or not is_kept
    return inputs * (WIDE * own + recipe.noise) + recipe.rank * WIDE


def _norm_kept(width: int, recipe: Recipe) -> int:
    """The widened input, where it is not wide as it is; and a factor."""
    return width * WIDE * recipe.is_narrow + WIDE


def _attention_kept(text: TextShape, recipe: Recipe) -> int:
    base, query, key = recipe.itemsize, text.query_width, text.key_width
    kept = _norm_kept(text.width, recipe)
    # One norm's output for three layers: kept once where nothing changes it.
    kept += sum(
        adapted_kept(text.width, recipe, is_kept=shared) for shared in (False, True, True)
    )
    if text.normed_heads:
        kept += (query + key) * WIDE + (text.heads + text.key_heads) * WIDE
    # Queries, keys and values, each key for all the queries that it serves, and what was found.
    kept += 4 * query * base + text.heads * WIDE
    return kept + adapted_kept(query, recipe)


def _perceptron_kept(text: TextShape, recipe: Recipe) -> int:
    # The sum that it reads is kept by its norm.
    kept = _norm_kept(text.width, recipe) + text.width * recipe.itemsize * (
        not recipe.is_narrow
    )
    kept += sum(adapted_kept(text.width, recipe, is_kept=shared) for shared in (False, True))
    # Gate, gate activated, and what it is multiplied with.
    kept += 3 * text.inner * recipe.itemsize
    return kept + adapted_kept(text.inner, recipe)


def _perceptron_backward(text: TextShape, recipe: Recipe) -> int:
    base, wide, inner = recipe.itemsize, text.width, text.inner
    down = adapted_kept(inner, recipe)
    # While the last layer is computed again: its input in both formats, and around it the sum,
    # the norm's output, and the result.
    widened = inner * (base + WIDE * recipe.drops) * recipe.is_narrow
    plain = inner * WIDE * (recipe.drops and not recipe.is_narrow)
    again = widened + plain + 3 * wide * base
    # While the layer before it is: its result beside the adapter's, and their sum. A CPU adds
    # up nothing but equals.
    copies = 2 + (recipe.is_narrow and not recipe.on_gpu)
    summing = inner * WIDE * copies - down + 2 * wide * base
    # The last layer's adapter backwards: a gradient beside what it is the gradient of.
    adapter = inner * WIDE + wide * (base + WIDE * recipe.is_narrow)
    # The gate's product backwards: a gradient becomes two.
    gate = 3 * inner * base - down
    # One of the two layers before it, whose gradient is widened and scaled.
    up = inner * (2 * WIDE + 2 * base) if recipe.is_narrow else inner * 3 * WIDE
    up -= down + 2 * inner * base
    return wide * base + max(again, summing, adapter, gate, up)


def _attention_backward(text: TextShape, recipe: Recipe) -> int:
    base, query = recipe.itemsize, text.query_width
    gradients = 5 * query * base
    if recipe.on_gpu:
        splits = -(-FLASH_SPLITS // text.heads)
        gradients += splits * query * WIDE
    return 2 * text.width * base + gradients
