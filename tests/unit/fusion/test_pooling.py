"""Bringing an image to another grid."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import adaptive_avg_pool2d

from orchestrator.fusion.pooling import pool

SIDES = st.integers(1, 9)


@pytest.mark.parametrize(
    ("grid", "to_grid"), [((6, 8), (3, 2)), ((9, 5), (3, 5)), ((4, 4), (1, 1))]
)
def test_where_cells_fit_it_is_the_pooling_of_torch(
    grid: tuple[int, int], to_grid: tuple[int, int]
) -> None:
    features_nD = torch.randn(grid[0] * grid[1], 7, dtype=torch.float64)
    stock_Dhw = adaptive_avg_pool2d(features_nD.T.view(7, *grid), to_grid)
    torch.testing.assert_close(pool(features_nD, grid, to_grid), stock_Dhw.flatten(1).T)


@given(grid=st.tuples(SIDES, SIDES), to_grid=st.tuples(SIDES, SIDES))
def test_the_mean_stays_whatever_the_grids(
    grid: tuple[int, int], to_grid: tuple[int, int]
) -> None:
    features_nD = torch.arange(grid[0] * grid[1] * 2, dtype=torch.float64).view(-1, 2)
    pooled_bD = pool(features_nD, grid, to_grid)
    assert len(pooled_bD) == to_grid[0] * to_grid[1]
    torch.testing.assert_close(pooled_bD.mean(dim=0), features_nD.mean(dim=0))


def test_a_cell_that_is_covered_in_part_counts_in_part() -> None:
    pooled_bD = pool(torch.tensor([[3.0], [6.0], [9.0]]), (3, 1), (2, 1))
    assert pooled_bD.tolist() == [[4.0], [8.0]]


def test_the_same_grid_gives_the_very_same_tensor() -> None:
    features_nD = torch.randn(6, 3, dtype=torch.bfloat16)
    assert pool(features_nD, (2, 3), (2, 3)) is features_nD


def test_the_format_stays_and_sums_are_rounded_once() -> None:
    features_nD = torch.randn(30, 5).to(torch.bfloat16)
    pooled_bD = pool(features_nD, (5, 6), (2, 4))
    assert pooled_bD.dtype == torch.bfloat16
    assert torch.equal(pooled_bD, pool(features_nD.float(), (5, 6), (2, 4)).bfloat16())


def test_pooling_that_began_without_gradients_has_them_later() -> None:
    with torch.inference_mode():
        pool(torch.randn(35, 2), (5, 7), (2, 3))
    features_nD = torch.randn(35, 2, requires_grad=True)
    pool(features_nD, (5, 7), (2, 3)).sum().backward()
    assert features_nD.grad is not None
