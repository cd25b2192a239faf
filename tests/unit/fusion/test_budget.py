"""Sharing a token budget out among images.

Letters: N images; 2 tokens down and across.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from orchestrator.fusion.budget import fused_tokens, share_budget
from orchestrator.plan.order import Integers

SIDES = st.integers(1, 24)
GRIDS = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=12).map(np.array)


@st.composite
def tight(draw: st.DrawFn) -> tuple[Integers, Integers, int, int]:
    """Images that do not fit, their weights, a budget with room for the floors, the floor."""
    grids_N2 = draw(GRIDS.filter(lambda grids: grids.prod(axis=1).sum() > len(grids)))
    weights_N = draw(
        st.lists(st.floats(0, 1, width=32), min_size=len(grids_N2), max_size=len(grids_N2))
    )
    total = int(grids_N2.prod(axis=1).sum())
    floor = draw(st.integers(1, max(1, (total - 1) // len(grids_N2))))
    budget = draw(st.integers(len(grids_N2) * floor, total - 1))
    return grids_N2, np.array(weights_N), budget, floor


@given(tight())
def test_shares_stay_within_the_budget_and_within_each_image(case: tuple) -> None:
    grids_N2, weights_N, budget, floor = case
    shares_N2 = share_budget(grids_N2, weights_N, budget=budget, floor=floor)
    assert shares_N2.prod(axis=1).sum() <= budget
    assert (shares_N2 >= 1).all()
    assert (shares_N2 <= grids_N2).all()


@given(tight())
def test_no_row_or_column_that_is_left_out_would_fit(case: tuple) -> None:
    grids_N2, weights_N, budget, floor = case
    shares_N2 = share_budget(grids_N2, weights_N, budget=budget, floor=floor)
    room = budget - shares_N2.prod(axis=1).sum()
    for (height, width), (down, across) in zip(grids_N2, shares_N2, strict=True):
        assert down == height or across > room
        assert across == width or down > room


@given(tight())
def test_every_image_keeps_its_floor_where_it_can(case: tuple) -> None:
    grids_N2, weights_N, budget, floor = case
    shares_N2 = share_budget(grids_N2, weights_N, budget=budget, floor=floor)
    least_N = [
        min(
            (d * a for d in range(1, h + 1) for a in range(1, w + 1) if d * a >= floor),
            default=h * w,
        )
        for h, w in grids_N2
    ]
    if sum(least_N) <= budget:
        assert (shares_N2.prod(axis=1) >= np.minimum(grids_N2.prod(axis=1), floor)).all()


@pytest.mark.parametrize("floor", [1, 2, 4])
@given(grids_N2=GRIDS, more=st.integers(0, 200))
def test_floors_that_any_image_can_have_always_hold(
    grids_N2: Integers, more: int, floor: int
) -> None:
    budget = floor * len(grids_N2) + more
    shares_N2 = share_budget(grids_N2, np.ones(len(grids_N2)), budget=budget, floor=floor)
    assert (shares_N2.prod(axis=1) >= np.minimum(grids_N2.prod(axis=1), floor)).all()


@given(grids_N2=GRIDS, more=st.none() | st.integers(0, 9), floor=st.integers(1, 99))
def test_images_that_fit_are_left_as_they_are(
    grids_N2: Integers, more: int | None, floor: int
) -> None:
    budget = None if more is None else int(grids_N2.prod(axis=1).sum()) + more
    weights_N = np.arange(len(grids_N2))
    shares_N2 = share_budget(grids_N2, weights_N, budget=budget, floor=floor)
    assert (shares_N2 == grids_N2).all()


@given(height=SIDES, width=SIDES, num_images=st.integers(2, 12), part=st.floats(0.01, 0.99))
def test_equal_images_with_equal_weights_are_at_most_a_row_or_a_column_apart(
    height: int, width: int, num_images: int, part: float
) -> None:
    budget = max(num_images, int(height * width * num_images * part))
    grids_N2 = np.array([(height, width)] * num_images)
    weights_N = np.full(num_images, 1 / num_images, np.float32)
    shares_N2 = share_budget(grids_N2, weights_N, budget=budget, floor=1)
    tokens_N = shares_N2.prod(axis=1)
    assert tokens_N.max() - tokens_N.min() <= max(height, width)


def test_a_heavier_image_gets_more_in_proportion() -> None:
    grids_N2 = np.array([(20, 20)] * 3)
    shares_N2 = share_budget(grids_N2, np.array([0.6, 0.3, 0.1]), budget=200, floor=1)
    tokens_N = shares_N2.prod(axis=1)
    assert tokens_N.tolist() == [121, 56, 20]


def test_a_grid_keeps_the_proportions_of_its_image() -> None:
    grids_N2 = np.array([(10, 20), (20, 10), (15, 15)])
    shares_N2 = share_budget(grids_N2, np.ones(3), budget=100, floor=1)
    assert shares_N2.tolist() == [[4, 8], [8, 4], [6, 6]]


def test_what_a_small_image_cannot_use_goes_to_the_others() -> None:
    grids_N2 = np.array([(2, 2), (20, 20), (20, 20)])
    shares_N2 = share_budget(grids_N2, np.array([0.8, 0.1, 0.1]), budget=204, floor=1)
    assert shares_N2.tolist() == [[2, 2], [10, 10], [10, 10]]


def test_a_weight_that_is_no_number_leaves_a_budget_that_holds() -> None:
    shares_N2 = share_budget(np.array([(9, 9)] * 2), np.full(2, np.nan), budget=50, floor=1)
    assert shares_N2.tolist() == [[5, 5], [5, 5]]


def test_a_budget_below_the_floors_is_refused_with_the_one_it_takes() -> None:
    with pytest.raises(PlanError, match=r"10 tokens for 3 images of at least 4.*at least 12"):
        share_budget(np.array([(3, 3)] * 3), np.ones(3), budget=10, floor=4)


@given(
    grids=st.lists(st.tuples(SIDES, SIDES, st.integers(0, 3)), max_size=9),
    budget=st.none() | st.integers(9, 900),
)
def test_the_tokens_that_the_plan_counts_are_never_exceeded(
    grids: list[tuple[int, int, int]], budget: int | None
) -> None:
    rows_N3 = np.array(sorted(grids, key=lambda grid: grid[2]), np.int64).reshape(-1, 3)
    grids_N2, blocks_N = rows_N3[:, :2], rows_N3[:, 2]
    shares = [
        share_budget(
            grids_N2[blocks_N == block],
            np.ones((blocks_N == block).sum()),
            budget=budget,
            floor=1,
        )
        for block in np.unique(blocks_N)
    ]
    fused = sum(int(share.prod(axis=1).sum()) for share in shares)
    tokens_N = grids_N2.prod(axis=1)
    counted = fused_tokens(tokens_N, blocks_N, budget)
    assert fused <= counted <= tokens_N.sum()
    if budget is None or tokens_N.sum() <= budget:
        assert fused == counted
