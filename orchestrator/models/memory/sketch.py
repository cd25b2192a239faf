"""A micro-batch as far as its costs go: how much text, how many labels, which images.

Letters: I images; S samples; 2 patches down and across.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import prod

from orchestrator.models.chunks import CHUNK_PATCHES


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """Sums over samples that stand in one row. They may be added; the sum is one row too.

    Args:
        samples: How many.
        tokens: Positions of the row, images as the language model gets them.
        label_tokens: Tokens that carry loss.
        images: How many.
        patches: Of all images.
        chunk_patches: Most patches that the tower takes at once.
        image_tokens: Tokens of all images as the tower gives them, before any fusion.
        fused_tokens: Tokens of all images as the language model gets them.
        pooled_tokens: Those of images that fusion makes smaller.
        largest_patches: Of one image.
        patches_so_far: Up to and with the last image that has so many.
        alike_tokens: Most tokens, before any fusion, of images of one block and one size.
        token_pairs: Squares of the samples' positions, added up.
        patch_pairs: Squares of the images' patches, added up.
    """

    samples: int
    tokens: int
    label_tokens: int
    images: int
    patches: int
    chunk_patches: int
    image_tokens: int
    fused_tokens: int
    pooled_tokens: int
    largest_patches: int
    patches_so_far: int
    alike_tokens: int
    token_pairs: int
    patch_pairs: int

    @property
    def text_tokens(self) -> int:
        """Positions that are not an image's."""
        return self.tokens - self.fused_tokens

    def __add__(self, other: "Sketch") -> "Sketch":
        largest = max(self.largest_patches, other.largest_patches)
        patches = self.patches + other.patches
        is_later = other.largest_patches >= self.largest_patches
        so_far = self.patches + other.patches_so_far if is_later else self.patches_so_far
        return Sketch(
            samples=self.samples + other.samples,
            tokens=self.tokens + other.tokens,
            label_tokens=self.label_tokens + other.label_tokens,
            images=self.images + other.images,
            patches=patches,
            chunk_patches=most_at_once(patches, largest),
            image_tokens=self.image_tokens + other.image_tokens,
            fused_tokens=self.fused_tokens + other.fused_tokens,
            pooled_tokens=self.pooled_tokens + other.pooled_tokens,
            largest_patches=largest,
            patches_so_far=so_far,
            alike_tokens=max(self.alike_tokens, other.alike_tokens),
            token_pairs=self.token_pairs + other.token_pairs,
            patch_pairs=self.patch_pairs + other.patch_pairs,
        )


def sketch(
    grids_I2: Sequence[tuple[int, int]],
    *,
    text_tokens: int,
    label_tokens: int,
    merge: int,
    budget: int | None = None,
    blocks_I: Sequence[int] | None = None,
) -> Sketch:
    """Sketch one sample.

    Args:
        grids_I2: Patches of each image.
        text_tokens: Its text, answers included.
        label_tokens: Those that carry loss.
        merge: Patches of one token, along one side.
        budget: Tokens that the images of one block get together; None leaves them whole.
        blocks_I: Block of each image; None puts all into one.
    """
    patches_I = [prod(grid) for grid in grids_I2]
    tokens_I = [patches // merge**2 for patches in patches_I]
    alike = Counter[tuple[int, tuple[int, int]]]()
    for grid, block, tokens in zip(grids_I2, blocks_I or repeat(0), tokens_I, strict=False):
        alike[block, grid] += tokens
    largest = max(patches_I, default=0)
    after = patches_I[::-1].index(largest) if patches_I else 0
    fused = pooled = 0
    for block in sorted(set(blocks_I or [0] * len(tokens_I))):
        given = sum(
            tokens for i, tokens in enumerate(tokens_I) if not blocks_I or blocks_I[i] == block
        )
        is_pooled = budget is not None and given > budget
        fused += budget if is_pooled and budget is not None else given
        pooled += budget if is_pooled and budget is not None else 0
    return Sketch(
        samples=1,
        tokens=text_tokens + fused,
        label_tokens=label_tokens,
        images=len(patches_I),
        patches=sum(patches_I),
        chunk_patches=largest_chunk(patches_I),
        image_tokens=sum(tokens_I),
        fused_tokens=fused,
        pooled_tokens=pooled,
        largest_patches=largest,
        patches_so_far=sum(patches_I[: len(patches_I) - after]),
        alike_tokens=max(alike.values(), default=0),
        token_pairs=(text_tokens + fused) ** 2,
        patch_pairs=sum(patches**2 for patches in patches_I),
    )


def join(sketches: Iterable[Sketch]) -> Sketch:
    """Several samples in one row."""
    first, *others = sketches
    for other in others:
        first = first + other
    return first


def most_at_once(patches: int, largest: int) -> int:
    """Most patches that the tower may get at once, where single images are not known."""
    return max(largest, min(patches, CHUNK_PATCHES))


def largest_chunk(patches_I: Sequence[int], limit: int = CHUNK_PATCHES) -> int:
    """Most patches at once, where whole images are taken in order while they fit."""
    largest = held = 0
    for patches in patches_I:
        held = held + patches if held + patches <= limit else patches
        largest = max(largest, held)
    return largest
