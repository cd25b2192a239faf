"""Groups of images: how many they hold, whether that is said, and what they share.

Letters: N samples; M media of all samples; U uses, each an image in a sample, once; I images.
"""

from collections.abc import Iterator

import numpy as np

from orchestrator.data.lint.finding import NUM_EXAMPLES, Draft, Finding, LintLimits, Pick
from orchestrator.data.lint.survey import Ints, Survey, spread
from orchestrator.data.lint.words import of


def check_groups(found: Survey, limits: LintLimits) -> Iterator[Draft]:
    """Look for large groups, counts that are not said, and images used over and over."""
    yield from _large_groups(found, limits)
    yield from _unsaid_counts(found)
    yield from _reused_images(found, limits)


def _large_groups(found: Survey, limits: LintLimits) -> Iterator[Draft]:
    num_media_N = found.arrays.num_media_N
    large_N = np.flatnonzero(num_media_N > limits.group_images)
    if not len(large_N):
        return
    largest_first = large_N[np.argsort(-num_media_N[large_N], kind="stable")]
    finding = Finding(
        name=f"More than {limits.group_images} images in a group",
        count=len(large_N),
        share=len(large_N) / found.num_samples,
        examples=(),
        remedy="Split the groups, or set images.max_images lower and let images.select choose",
        severity="note",
        detail=f"The largest group has {of(num_media_N.max(), 'image')}. Models compare few "
        "images well, and cost grows faster than their number.",
    )
    yield Draft(
        finding,
        tuple(
            Pick(int(sample), of(num_media_N[sample], "image"))
            for sample in largest_first[:NUM_EXAMPLES]
        ),
    )


def _unsaid_counts(found: Survey) -> Iterator[Draft]:
    arrays = found.arrays
    group_N = arrays.num_media_N >= 2
    unsaid_N = np.flatnonzero(group_N & ~arrays.says_count_N)
    if not len(unsaid_N):
        return
    finding = Finding(
        name="Instructions that never say how many images there are",
        count=len(unsaid_N),
        share=len(unsaid_N) / int(group_N.sum()),
        examples=(),
        remedy="Put the number into the instruction, or let a template do it: template: "
        "comparison under data.train",
        severity="note",
        counted="group",
        detail="A model answers about groups more steadily when told how many images there "
        "are and when they are numbered.",
    )
    yield Draft(
        finding,
        tuple(
            Pick(int(sample), of(arrays.num_media_N[sample], "image"))
            for sample in spread(unsaid_N)
        ),
    )


def _reused_images(found: Survey, limits: LintLimits) -> Iterator[Draft]:
    medium_U = _uses(found)
    places_I, first_I, uses_I = np.unique(
        found.arrays.place_M[medium_U], return_index=True, return_counts=True
    )
    often_I = np.flatnonzero(uses_I > limits.reused_in)
    if not len(often_I):
        return
    is_often_U = np.repeat(uses_I > limits.reused_in, uses_I)
    num_users = len(np.unique(found.sample_M[medium_U[is_often_U]]))
    most_first = often_I[np.argsort(-uses_I[often_I], kind="stable")]
    finding = Finding(
        name="The same image in very many groups",
        count=len(often_I),
        share=len(often_I) / len(places_I),
        examples=(),
        remedy="Leave it out if it is a placeholder or a logo; else all is well",
        severity="note",
        counted="image",
        detail=f"{of(num_users, 'sample')} ({num_users / found.num_samples:.0%}) show an image "
        f"that more than {of(limits.reused_in, 'sample')} have in common.",
    )
    yield Draft(
        finding,
        tuple(
            Pick(sample, f"used in {of(uses_I[image], 'sample')}", medium)
            for image in most_first[:NUM_EXAMPLES]
            for sample, medium in [found.position_of(int(medium_U[first_I[image]]))]
        ),
    )


def _uses(found: Survey) -> Ints:
    """Numbers of media, sorted by where they lie; one that a sample shows twice comes once."""
    place_M, sample_M = found.arrays.place_M, found.sample_M
    order_M = np.lexsort((sample_M, place_M))
    place_M, sample_M = place_M[order_M], sample_M[order_M]
    is_new_M = np.ones(len(place_M), dtype=np.bool_)
    is_new_M[1:] = (place_M[1:] != place_M[:-1]) | (sample_M[1:] != sample_M[:-1])
    medium_U: Ints = order_M[is_new_M]
    return medium_U
