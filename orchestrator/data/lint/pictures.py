"""Single images: far larger than needed, far too small, and what was noted when they were read.

Letters: P pictures of all media; J pictures of those that are images.
"""

from collections.abc import Iterator

import numpy as np

from orchestrator.data.lint.finding import NUM_EXAMPLES, Draft, Finding, LintLimits, Pick
from orchestrator.data.lint.survey import Floats, Ints, Survey, spread
from orchestrator.data.lint.words import of

# Milliseconds of one core, fitted to measured decoding of photos of 3 and 12 megapixels to 0.25
# and 1: a large source is decoded at a fraction of its size, and then resized.
_MS_A_SOURCE_MEGAPIXEL = 2.0
_MS_A_TARGET_MEGAPIXEL = 19.0
# The same of an image that has its size already.
_MS_A_READY_MEGAPIXEL = 8.0


def check_pictures(found: Survey, limits: LintLimits) -> Iterator[Draft]:
    """Look for images whose size does not fit the job, and repeat what reading them noted."""
    picture_J = np.flatnonzero(found.arrays.is_image_M[found.medium_P])
    if len(picture_J):
        yield from _too_large(found, picture_J, limits)
        yield from _too_small(found, picture_J, limits)
    yield from _notes(found)


def _too_large(found: Survey, picture_J: Ints, limits: LintLimits) -> Iterator[Draft]:
    source_J = found.arrays.source_area_P[picture_J]
    target_J = found.arrays.target_area_P[picture_J]
    is_large_J = source_J > limits.large_ratio * target_J
    if limits.pre_resized or not is_large_J.any():
        return
    gain = _gain(source_J, target_J)
    finding = Finding(
        name="Images far larger than the job's size",
        count=int(is_large_J.sum()),
        share=float(is_large_J.mean()),
        examples=(),
        remedy="Set images.pre_resized: true, so that each is reduced once and not every epoch",
        severity="warning" if is_large_J.mean() > 0.5 else "note",
        counted="image",
        detail=f"They have {np.median(source_J[is_large_J]) / 1e6:.1f} megapixels at the "
        f"median, and {np.median(target_J[is_large_J]) / 1e6:.2f} are used. With "
        f"images.pre_resized, about {gain:.1f} times as many images a second are to be "
        "expected from the second look on.",
    )
    largest_first = np.argsort(-source_J / target_J, kind="stable")[:NUM_EXAMPLES]
    yield Draft(finding, tuple(_sized(found, picture_J[largest_first])))


def _gain(source_J: Floats, target_J: Floats) -> float:
    """How many times as many images a second come when all have their size already."""
    now_ms = _MS_A_SOURCE_MEGAPIXEL * source_J + _MS_A_TARGET_MEGAPIXEL * target_J
    return float(now_ms.sum() / (_MS_A_READY_MEGAPIXEL * target_J.sum()))


def _too_small(found: Survey, picture_J: Ints, limits: LintLimits) -> Iterator[Draft]:
    source_J = found.arrays.source_area_P[picture_J]
    target_J = found.arrays.target_area_P[picture_J]
    is_small_J = target_J > limits.small_ratio * source_J
    if not is_small_J.any():
        return
    finding = Finding(
        name="Images far smaller than the job's size",
        count=int(is_small_J.sum()),
        share=float(is_small_J.mean()),
        examples=(),
        remedy="Lower images.min_pixels, or find the originals if these are thumbnails",
        severity="note",
        counted="image",
        detail=f"They are enlarged more than {limits.small_ratio:g} times in area: tokens are "
        "spent on pixels that nobody took.",
    )
    smallest_first = np.argsort(source_J / target_J, kind="stable")[:NUM_EXAMPLES]
    yield Draft(finding, tuple(_sized(found, picture_J[smallest_first])))


def _sized(found: Survey, pictures: Ints) -> Iterator[Pick]:
    medium_P = found.medium_P
    for picture in pictures:
        sample, medium = found.position_of(int(medium_P[picture]))
        source = found.arrays.source_area_P[picture] / 1e6
        target = found.arrays.target_area_P[picture] / 1e6
        yield Pick(sample, f"{source:.3g} megapixels, resized to {target:.3g}", medium)


def _notes(found: Survey) -> Iterator[Draft]:
    for kind, count in found.mentions.notes.most_common(NUM_EXAMPLES):
        finding = Finding(
            name=f"Noted while reading: {kind}",
            count=count,
            share=min(1.0, count / max(1, len(found.arrays.place_M))),
            examples=(),
            remedy="Write the part that matters as an image of its own, if this is not it",
            severity="note",
            counted="image",
            detail=f"{of(count, 'image')} had this note; it is said once, here.",
        )
        samples = spread(np.array(found.mentions.noted[kind], dtype=np.int64))
        yield Draft(finding, tuple(Pick(sample, kind) for sample in samples))
