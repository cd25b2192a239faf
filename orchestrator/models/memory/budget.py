"""How many tokens at once a device has memory for, whichever samples they are of.

Letters: N samples.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from orchestrator.models.memory.activations import activations
from orchestrator.models.memory.recipe import Recipe
from orchestrator.models.memory.resident import resident
from orchestrator.models.memory.shape import ModelShape
from orchestrator.models.memory.sketch import Sketch, most_at_once

USABLE = 0.85
"""Share of a device's memory that is reckoned with. The rest is for what CUDA takes for itself
(half a GiB and more), for gaps between blocks, and for a forecast that is a tenth too low."""
GRAIN = 256
"""A budget that was picked is a multiple of so many tokens, unless one sample needs more."""

Column = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Costs:
    """All samples of an index, as far as memory depends on them.

    Args:
        tokens_N: Length of each in the language model.
        labels_N: Tokens of each that carry loss.
        patches_N: Of each one's images.
        images: Of all samples together.
        largest_patches: Most that one image may have.
        times: How often a sample may stand in one step.
    """

    tokens_N: Column
    labels_N: Column
    patches_N: Column
    images: int
    largest_patches: int
    times: int = 1

    def most(self, tokens: int, merge: int) -> Sketch:
        """A row that costs at least what any row of so many tokens of these samples does."""
        patches = self._most_of(self._patches, tokens)
        labels = min(tokens, self._most_of(self._labels, tokens))
        return self._sketch(tokens, labels, patches, merge)

    def sample(self, number: int, merge: int) -> Sketch:
        """One of them, alone in a row."""
        tokens, labels, patches = (
            int(column_N[number]) for column_N in (self.tokens_N, self.labels_N, self.patches_N)
        )
        return self._sketch(tokens, labels, patches, merge)

    def _sketch(self, tokens: int, labels: int, patches: int, merge: int) -> Sketch:
        largest = min(self.largest_patches, patches)
        image_tokens = patches // merge**2
        seen = min(tokens, image_tokens)
        in_all = max(1, int(self.patches_N.sum()))
        return Sketch(
            samples=1,
            tokens=tokens,
            label_tokens=labels,
            images=-(-patches * self.images // in_all),
            patches=patches,
            chunk_patches=most_at_once(patches, largest),
            image_tokens=image_tokens,
            fused_tokens=seen,
            pooled_tokens=seen if image_tokens > tokens else 0,
            largest_patches=largest,
            patches_so_far=patches,
            alike_tokens=image_tokens,
            token_pairs=tokens**2,
            patch_pairs=patches * largest,
        )

    @cached_property
    def _patches(self) -> tuple[Column, Column]:
        return _densest_first(self.patches_N, self.tokens_N)

    @cached_property
    def _labels(self) -> tuple[Column, Column]:
        return _densest_first(self.labels_N, self.tokens_N)

    def _most_of(self, sums: tuple[Column, Column], tokens: int) -> int:
        return int(np.ceil(np.interp(tokens / self.times, *sums) * self.times))


def _densest_first(wanted_N: Column, tokens_N: Column) -> tuple[Column, Column]:
    """Running sums of tokens and of what is wanted, samples with most of it a token first.

    What lies between two sums is a part of a sample, so that no choice of whole ones has more.
    """
    order_N = np.argsort(-wanted_N / np.maximum(tokens_N, 1), kind="stable")
    return tuple(  # type: ignore[return-value]  # of two
        np.concatenate([[0], np.cumsum(column_N[order_N], dtype=np.int64)])
        for column_N in (tokens_N, wanted_N)
    )


@dataclass(frozen=True)
class Room:
    """A device, and what is to fit into it.

    Args:
        shape: The model.
        recipe: How it is trained.
        device_bytes: The device's memory, all of it.
    """

    shape: ModelShape
    recipe: Recipe
    device_bytes: float

    @property
    def usable_bytes(self) -> float:
        """What is reckoned with."""
        return USABLE * self.device_bytes

    def needed_bytes(self, row: Sketch) -> int:
        """Everything, while a row is computed."""
        standing = resident(self.shape, self.recipe).total
        return standing + activations(self.shape, self.recipe, row).peak

    def has(self, row: Sketch) -> bool:
        """Whether a row fits."""
        return self.needed_bytes(row) <= self.usable_bytes

    def budget(self, costs: Costs, *, least: int, most: int) -> int:
        """The most tokens at once of which any row fits.

        Args:
            costs: The samples.
            least: Tokens of the longest sample, which is taken to fit.
            most: More would buy nothing.

        Returns:
            A multiple of ``GRAIN`` between the two, or ``least`` itself.
        """
        merge = self.shape.tower.merge
        low, high = 0, max(0, most) // GRAIN
        while low < high:
            middle = (low + high + 1) // 2
            if self.has(costs.most(middle * GRAIN, merge)):
                low = middle
            else:
                high = middle - 1
        return max(least, low * GRAIN)
