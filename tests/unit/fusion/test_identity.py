"""A fusion before training is the model that it was put into."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from orchestrator.fusion.module import Fusion, Sample
from orchestrator.fusion.shape import FusionShape
from tests.unit.fusion.conftest import SHAPE, TIGHT, base_of, make_sample, opened, same_bits

FORMATS = [torch.float32, torch.bfloat16, torch.float64]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("budget", [None, 38, 34])
def test_images_within_the_budget_pass_to_the_bit(
    budget: int | None, dtype: torch.dtype
) -> None:
    sample = make_sample(dtype=dtype)
    # A sum with 0 would turn it into +0.
    sample.features[0][0] = -0.0
    fused = Fusion(replace(SHAPE, budget=budget), seed=0)(sample)
    assert same_bits(fused.features, sample.features)
    assert (fused.grids_N2 == sample.grids_N2).all()


@pytest.mark.parametrize("dtype", FORMATS)
def test_images_over_the_budget_pass_pooled_to_the_bit(dtype: torch.dtype) -> None:
    sample = make_sample(dtype=dtype)
    fused = Fusion(TIGHT, seed=0)(sample)
    assert same_bits(fused.features, base_of(fused, sample))
    for block in (0, 2):
        assert fused.grids_N2[sample.blocks_N == block].prod(axis=1).sum() <= 20


def test_all_images_of_a_block_count_alike_at_first() -> None:
    weights_N = Fusion(TIGHT, seed=0)(make_sample()).weights_N
    torch.testing.assert_close(weights_N.detach(), torch.tensor([1 / 3] * 3 + [1 / 2] * 2))
    assert len(set(weights_N[:3].tolist())) == 1


def test_the_base_path_alone_has_no_parameters_and_does_the_same() -> None:
    sample = make_sample()
    bare = Fusion(replace(TIGHT, latents=False), seed=0)
    assert list(bare.parameters()) == []
    assert same_bits(bare(sample).features, Fusion(TIGHT, seed=0)(sample).features)
    assert torch.equal(bare(sample).weights_N, torch.tensor([1 / 3] * 3 + [1 / 2] * 2))


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, latents=False)])
def test_a_sample_without_images_becomes_nothing(shape: FusionShape) -> None:
    fused = Fusion(shape, seed=0)(make_sample(grids=(), blocks=()))
    assert (fused.features, len(fused.weights_N)) == ((), 0)
    assert fused.grids_N2.shape == (0, 2)


def test_an_image_without_any_text_is_fused_as_well() -> None:
    sample = make_sample(text_blocks=())
    fused = opened(SHAPE)(sample)
    assert all(features.isfinite().all() for features in fused.features)
    assert not same_bits(fused.features, sample.features)


def test_parameters_depend_on_seed_and_name_alone() -> None:
    one, same, other = (
        Fusion(shape, seed)
        for shape, seed in ((SHAPE, 1), (replace(SHAPE, text=False), 1), (SHAPE, 2))
    )
    drawn, again = dict(one.named_parameters()), dict(same.named_parameters())
    assert all(torch.equal(drawn[name], again[name]) for name in again)
    latents = "across.resampler.latents_md"
    assert not torch.equal(drawn[latents], dict(other.named_parameters())[latents])


def test_making_a_fusion_leaves_other_draws_alone() -> None:
    before = torch.get_rng_state()
    Fusion(SHAPE, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_parameters_are_float32_on_the_cpu() -> None:
    parameters = list(Fusion(SHAPE, seed=0).parameters())
    assert {(p.dtype, p.device.type, p.requires_grad) for p in parameters} == {
        (torch.float32, "cpu", True)
    }


@pytest.mark.parametrize("num_images", [1, 32])
def test_one_image_and_many_go_through_the_same_fusion(num_images: int) -> None:
    sample = make_sample(grids=[(4, 5)] * num_images, blocks=[0] * num_images)
    fused = opened(replace(SHAPE, budget=64))(sample)
    assert fused.grids_N2.prod(axis=1).sum() <= 64
    assert fused.weights_N.sum().item() == pytest.approx(1)
    shapes = [tuple(features.shape) for features in fused.features]
    assert shapes == [(int(np.prod(grid)), 24) for grid in fused.grids_N2]


def test_the_order_of_images_matters() -> None:
    sample = make_sample(grids=[(3, 3)] * 3, blocks=[0] * 3)
    turned = Sample(
        sample.features[::-1],
        sample.grids_N2,
        sample.blocks_N,
        sample.text_TD,
        sample.text_blocks_T,
    )
    fusion = opened(SHAPE)
    assert not same_bits(fusion(turned).features[::-1], fusion(sample).features)


def test_an_image_has_its_number_in_the_whole_conversation() -> None:
    alone = replace(SHAPE, spatial=False, positions=False, weights=False, text=False)
    sample = make_sample(grids=[(3, 3)] * 2, blocks=(0, 1))
    twice = replace(sample, features=sample.features[:1] * 2)
    first_nD, second_nD = opened(alone)(twice).features
    assert not torch.allclose(first_nD, second_nD)


def test_the_order_of_words_matters_within_and_across_blocks() -> None:
    sample = make_sample(text_blocks=(0, 0, 1, 2))
    fusion = opened(SHAPE)
    before = fusion(sample).features
    for order, first_changed in (([1, 0, 2, 3], 0), ([0, 1, 3, 2], 3)):
        after = fusion(replace(sample, text_TD=sample.text_TD[order])).features
        assert not torch.allclose(after[first_changed], before[first_changed])
        assert same_bits(after[:first_changed], before[:first_changed])


def test_text_told_in_pieces_is_the_text() -> None:
    across, text_TD = Fusion(SHAPE, seed=0).across, make_sample().text_TD
    assert across is not None
    nothing_Td = torch.empty(0, 16)
    in_pieces_Td = across._tell(text_TD[3:], across._tell(text_TD[:3], nothing_Td))
    torch.testing.assert_close(in_pieces_Td, across._tell(text_TD, nothing_Td))
