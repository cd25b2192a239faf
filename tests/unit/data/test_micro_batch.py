"""A micro-batch cut in halves."""

from itertools import pairwise

import numpy as np
import pytest

from orchestrator.data.micro_batch import Fault, MicroBatch
from orchestrator.plan.steps import Address


def made(lengths: list[int], images: list[list[int]]) -> MicroBatch:
    """Samples of so many text tokens, and images of so many patches."""
    num_slots = [len(patches) for patches in images]
    num_tokens = sum(lengths) + sum(num_slots)
    grids = [(1, 1, patches) for sample in images for patches in sample]
    num_patches = sum(patches for _, _, patches in grids)
    numbers = range(len(lengths))
    return MicroBatch(
        address=Address(1, 2, 3),
        samples=tuple(numbers),
        ids=tuple(f"id{number}" for number in numbers),
        faults=(Fault(99, "id99", "cut short"),),
        ids_L=np.arange(num_tokens, dtype=np.int32),
        labels_L=np.arange(num_tokens) % 2 == 0,
        lengths_S=np.array(lengths, np.int32) + np.array(num_slots, np.int32),
        images_S=np.array(num_slots, np.int32),
        grids_I3=np.array(grids, np.int32).reshape(-1, 3),
        patches_PD=np.arange(2 * num_patches, dtype=np.uint8).reshape(num_patches, 2),
    )


MIXED = made([5, 3, 4, 2], [[8], [], [4, 2], [1]])


def fractions(batch: MicroBatch) -> list[MicroBatch]:
    """Halves of halves, down to single samples, in order."""
    if len(batch.samples) == 1:
        return [batch]
    return [one for half in batch.halves() for one in fractions(half)]


@pytest.mark.parametrize("parts", [MIXED.halves(), fractions(MIXED)], ids=["two", "all"])
def test_the_parts_of_a_micro_batch_are_the_whole_of_it(parts: list[MicroBatch]) -> None:
    for name in ("ids_L", "labels_L", "lengths_S", "images_S", "grids_I3", "patches_PD"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(MIXED, name))
    assert sum((part.samples for part in parts), ()) == MIXED.samples
    assert sum((part.ids for part in parts), ()) == MIXED.ids
    for part in parts:
        assert len(part.ids_L) == part.lengths_S.sum()
        assert len(part.grids_I3) == part.images_S.sum()
        assert len(part.patches_PD) == part.grids_I3.prod(axis=1).sum()
        assert (part.address, part.faults) == (MIXED.address, ())
    assert all(one.samples < other.samples for one, other in pairwise(parts))


def test_every_part_has_a_number_of_its_own_that_says_whose_half_it_is() -> None:
    first, second = MIXED.halves()
    assert (MIXED.fraction, first.fraction, second.fraction) == (1, 2, 3)
    assert [half.fraction for half in second.halves()] == [6, 7]


@pytest.mark.parametrize(
    ("lengths", "images", "first"),
    [
        ([1, 1, 1, 1], [[], [], [], []], 2),
        ([1, 1, 1, 9], [[], [], [], []], 3),
        ([9, 1, 1, 1], [[], [], [], []], 1),
        # Pictures weigh by their patches.
        ([1, 1, 1, 1], [[20, 20], [5], [5], [5]], 1),
        ([1, 1], [[], [500]], 1),
    ],
)
def test_halves_weigh_about_the_same(
    lengths: list[int], images: list[list[int]], first: int
) -> None:
    half, _ = made(lengths, images).halves()
    assert len(half.samples) == first
