"""Attention, in chunks and beside itself, and the places that it is told of."""

import numpy as np
import pytest
import torch

from orchestrator.fusion.attention import CHUNK_QUERIES, Attention
from orchestrator.fusion.mixing import Layer
from orchestrator.fusion.waves import grid_waves, order_waves
from tests.unit.fusion.conftest import SHAPE, opened

LIKE = torch.empty(16, dtype=torch.float64)


def attention() -> Attention:
    across = opened(SHAPE).double().across
    assert across is not None
    return across.resampler.attention


def test_queries_in_chunks_find_what_the_formula_says() -> None:
    queries_1Qd = torch.randn(1, CHUNK_QUERIES + 9, 16, dtype=torch.float64)
    keys_1Kd = torch.randn(1, 5, 16, dtype=torch.float64)
    attend = attention()
    found = []
    for head in (slice(8), slice(8, 16)):
        query_QE, key_KE, value_KE = (
            (rows_1d[0] @ layer.weight.T)[:, head]
            for rows_1d, layer in (
                (queries_1Qd, attend.query),
                (keys_1Kd, attend.key),
                (keys_1Kd, attend.value),
            )
        )
        found.append((query_QE @ key_KE.T / np.sqrt(8)).softmax(dim=1) @ value_KE)
    expected_Qd = torch.cat(found, dim=1) @ attend.out.weight.T
    torch.testing.assert_close(attend(queries_1Qd, keys_1Kd)[0], expected_Qd)


def test_who_looks_at_itself_alone_finds_itself() -> None:
    one_11d = torch.randn(1, 1, 16, dtype=torch.float64)
    attend = attention()
    torch.testing.assert_close(attend(one_11d, one_11d), attend.alone(one_11d))


def test_where_there_is_nothing_nothing_is_found() -> None:
    found = attention()(LIKE.new_ones(1, 3, 16), LIKE.new_empty(1, 0, 16))
    assert torch.equal(found, LIKE.new_zeros(1, 3, 16))


def test_equal_images_have_no_difference_and_others_only_where_they_differ() -> None:
    across = opened(SHAPE).across
    assert across is not None
    layer = across.layers[0]
    assert isinstance(layer, Layer)
    layer.spatial = layer.text = None
    nothing_Td = torch.empty(0, 16)
    alike_Nmd = torch.randn(1, 4, 16).expand(3, -1, -1)
    found_Nmd = layer._around(alike_Nmd, alike_Nmd, nothing_Td)
    torch.testing.assert_close(found_Nmd, torch.zeros(3, 4, 16))
    changed_Nmd = alike_Nmd.clone()
    changed_Nmd[1, 2] *= -1
    found_Nmd = layer._around(changed_Nmd, changed_Nmd, nothing_Td)
    is_found_Nm = found_Nmd.abs().amax(dim=-1) > 1e-3
    assert is_found_Nm.tolist() == [[False, False, True, False]] * 3


def test_grids_of_any_size_agree_on_where_the_middle_is() -> None:
    middles = [grid_waves((size, size), LIKE)[size * size // 2] for size in (1, 3, 21)]
    torch.testing.assert_close(middles[0], middles[1])
    torch.testing.assert_close(middles[0], middles[2])
    corners = [grid_waves((size, 4), LIKE)[0] for size in (1, 3)]
    assert not torch.allclose(*corners)


@pytest.mark.parametrize("grid", [(4, 7), (30, 40)])
def test_no_two_places_of_a_grid_are_alike(grid: tuple[int, int]) -> None:
    waves_nd = grid_waves(grid, LIKE)
    assert len(waves_nd.round(decimals=6).unique(dim=0)) == grid[0] * grid[1]
    assert not waves_nd[:, 8:].any()


def test_an_order_goes_on_as_far_as_anybody_counts() -> None:
    waves_Nd = order_waves(0, 5000, LIKE)
    assert len(waves_Nd.round(decimals=6).unique(dim=0)) == 5000
    assert not waves_Nd[:, :8].any()
    torch.testing.assert_close(order_waves(4000, 9, LIKE), waves_Nd[4000:4009])
