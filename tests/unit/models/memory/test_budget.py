"""How many tokens fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.models.memory.activations import activations
from orchestrator.models.memory.budget import GRAIN, Costs, Room
from orchestrator.models.memory.recipe import Recipe
from orchestrator.models.memory.resident import resident
from orchestrator.models.memory.shape import ModelShape
from orchestrator.models.memory.sketch import join
from tests.bench.memory.models import tiny

SHAPE = ModelShape.of(tiny())
GIB = 1 << 30


def costs_of(rows: list[tuple[int, int]], times: int = 1) -> Costs:
    """Samples by text and images of 16 tokens."""
    tokens_N = np.array([text + 16 * images for text, images in rows])
    return Costs(
        tokens_N=tokens_N,
        labels_N=np.array([text // 2 for text, _ in rows]),
        patches_N=np.array([64 * images for _, images in rows]),
        images=sum(images for _, images in rows),
        largest_patches=64,
        times=times,
    )


samples = st.lists(st.tuples(st.integers(2, 400), st.integers(0, 20)), min_size=1, max_size=12)


@given(samples, st.sets(st.integers(0, 11)))
def test_no_row_of_a_budget_costs_more_than_is_reckoned(
    rows: list[tuple[int, int]], numbers: set[int]
) -> None:
    costs = costs_of(rows)
    chosen = [number for number in numbers if number < len(rows)] or [0]
    row = join(costs.sample(number, 2) for number in chosen)
    reckoned = costs.most(row.tokens, 2)
    recipe = Recipe()
    assert activations(SHAPE, recipe, row).peak <= activations(SHAPE, recipe, reckoned).peak


def test_samples_that_come_more_than_once_are_reckoned_as_often() -> None:
    dense, sparse = (2, 20), (300, 0)
    once, twice = (costs_of([dense, sparse], times).most(700, 2) for times in (1, 2))
    assert (once.patches, twice.patches) == (1280, 2560)


@given(samples, st.floats(0.05, 4.0), st.floats(1.0, 4.0))
def test_a_larger_device_never_gets_less(
    rows: list[tuple[int, int]], gib: float, more: float
) -> None:
    costs = costs_of(rows)
    small, large = (
        Room(SHAPE, Recipe(), size * GIB).budget(costs, least=500, most=100_000)
        for size in (gib, gib * more)
    )
    assert 500 <= small <= large


@pytest.mark.parametrize(("gib", "most"), [(0.1, 20_000), (0.3, 200_000)])
def test_what_is_picked_fits_and_a_grain_more_does_not(gib: float, most: int) -> None:
    costs, room = costs_of([(100, 2), (40, 9)]), Room(SHAPE, Recipe(), gib * GIB)
    picked = room.budget(costs, least=200, most=most)
    assert picked % GRAIN == 0
    assert room.has(costs.most(picked, 2))
    assert picked + GRAIN > most or not room.has(costs.most(picked + GRAIN, 2))


def test_the_longest_sample_is_the_floor_and_what_buys_nothing_the_ceiling() -> None:
    costs = costs_of([(100, 2)])
    standing = resident(SHAPE, Recipe()).total
    assert Room(SHAPE, Recipe(), standing).budget(costs, least=132, most=9999) == 132
    assert Room(SHAPE, Recipe(), 100 * GIB).budget(costs, least=132, most=4096) == 4096
    assert Room(SHAPE, Recipe(), 100 * GIB).budget(costs, least=132, most=10) == 132
