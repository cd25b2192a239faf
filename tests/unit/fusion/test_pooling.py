"""Bringing an image to another grid, and merging its tokens into fewer."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from orchestrator.fusion.pooling import merge, pool
from orchestrator.fusion.weighing import MOST
from tests.unit.fusion.conftest import same_bits

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


def plain(features_nD: Tensor, grid: tuple[int, int], to_grid: tuple[int, int]) -> Tensor:
    return merge(features_nD, torch.zeros(len(features_nD)), grid, to_grid)


def in_parts(each_nX: Tensor) -> Tensor:
    """Of 4 x 6 tokens, the 2 x 2 that each of 2 x 3 is merged from."""
    rows_first = each_nX.view(2, 2, 3, 2, -1).permute(0, 2, 1, 3, 4)
    return rows_first.reshape(6, 4, -1)


@st.composite
def shrinkings(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int]]:
    grid = draw(st.tuples(SIDES, SIDES))
    return grid, draw(st.tuples(st.integers(1, grid[0]), st.integers(1, grid[1])))


@given(shrinking=shrinkings())
def test_every_token_is_merged_into_one_and_parts_differ_by_a_row_and_a_column(
    shrinking: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    (h, w), (to_h, to_w) = shrinking
    merged_bn = plain(torch.eye(h * w, dtype=torch.float64), *shrinking)
    assert ((merged_bn > 0).sum(dim=0) == 1).all()
    sides_b2 = (merged_bn > 0).view(-1, h, w)
    rows_b, columns_b = sides_b2.any(dim=2).sum(dim=1), sides_b2.any(dim=1).sum(dim=1)
    assert set(rows_b.tolist()) <= {h // to_h, -(-h // to_h)}
    assert set(columns_b.tolist()) <= {w // to_w, -(-w // to_w)}
    torch.testing.assert_close(merged_bn.sum(dim=1), torch.ones(to_h * to_w).double())


@pytest.mark.parametrize(
    ("grid", "to_grid"), [((6, 8), (3, 2)), ((9, 5), (3, 5)), ((4, 4), (1, 1))]
)
def test_where_all_tokens_count_alike_merging_is_pooling(
    grid: tuple[int, int], to_grid: tuple[int, int]
) -> None:
    features_nD = torch.randn(grid[0] * grid[1], 7)
    torch.testing.assert_close(
        plain(features_nD, grid, to_grid), pool(features_nD, grid, to_grid)
    )


def test_a_merged_token_is_a_mean_in_which_each_counts_by_its_score() -> None:
    features_nD, score_n = torch.randn(24, 8), 2 * torch.randn(24)
    expected_bD = (in_parts(score_n).softmax(dim=1) * in_parts(features_nD)).sum(dim=1)
    torch.testing.assert_close(merge(features_nD, score_n, (4, 6), (2, 3)), expected_bD)


def test_one_token_can_drown_out_all_others() -> None:
    features_nD, score_n = torch.randn(24, 8), torch.full((24,), -MOST)
    score_n[5] = MOST
    merged_1D = merge(features_nD, score_n, (4, 6), (1, 1))
    torch.testing.assert_close(merged_1D[0], features_nD[5], atol=1e-4, rtol=0)


def test_where_nothing_counts_means_are_as_precise() -> None:
    features_nD, score_n = torch.randn(24, 8), torch.full((24,), -MOST)
    merged_bD = merge(features_nD, score_n, (4, 6), (2, 3))
    torch.testing.assert_close(merged_bD, plain(features_nD, (4, 6), (2, 3)))


def test_an_image_that_keeps_its_grid_keeps_its_tokens_whatever_counts() -> None:
    features_nD = torch.randn(6, 3, dtype=torch.bfloat16)
    assert merge(features_nD, torch.randn(6), (2, 3), (2, 3)) is features_nD


def test_a_batch_is_merged_as_its_images_are() -> None:
    features_BnD, score_Bn = torch.randn(3, 24, 8), torch.randn(3, 24)
    together_BbD = merge(features_BnD, score_Bn, (4, 6), (3, 4))
    for features_nD, score_n, merged_bD in zip(
        features_BnD, score_Bn, together_BbD, strict=True
    ):
        alone_bD = merge(features_nD, score_n, (4, 6), (3, 4))
        torch.testing.assert_close(merged_bD, alone_bD)


def test_merging_keeps_the_format() -> None:
    features_nD = torch.randn(24, 8).to(torch.bfloat16)
    merged_bD = merge(features_nD, torch.randn(24), (4, 6), (3, 4))
    assert merged_bD.dtype == torch.bfloat16
    assert same_bits(plain(features_nD, (4, 6), (4, 6)), features_nD)
