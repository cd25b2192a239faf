"""Each part of a fusion can be switched off, and then neither learns nor speaks."""

from dataclasses import replace

import pytest
import torch

from orchestrator.fusion.module import Fusion, Sample
from orchestrator.fusion.shape import FusionShape
from tests.unit.fusion.conftest import SHAPE, TIGHT, make_sample, opened, same_bits


def names(shape: FusionShape) -> set[str]:
    return {name for name, _ in Fusion(shape, seed=0).named_parameters()}


def other_text(sample: Sample) -> Sample:
    return replace(sample, text_TD=-sample.text_TD)


def other_first_image(sample: Sample) -> Sample:
    return replace(sample, features=(-sample.features[0], *sample.features[1:]))


@pytest.mark.parametrize("part", ["spatial", "positions", "text", "weights"])
def test_a_part_that_is_off_has_no_parameters(part: str) -> None:
    word = {"weights": "weighing"}.get(part, part)
    without = names(replace(SHAPE, **{part: False}))
    assert any(word in name for name in names(SHAPE))
    assert not any(word in name for name in without)
    assert without < names(SHAPE)


@pytest.mark.parametrize("shape", [SHAPE, TIGHT])
def test_without_text_the_prompt_changes_nothing(shape: FusionShape) -> None:
    sample = make_sample()
    deaf, hearing = opened(replace(shape, text=False)), opened(shape)
    assert same_bits(deaf(other_text(sample)).features, deaf(sample).features)
    assert not same_bits(hearing(other_text(sample)).features, hearing(sample).features)


def test_with_all_branches_between_images_off_each_stands_alone() -> None:
    sample = make_sample()
    alone = opened(replace(SHAPE, spatial=False, positions=False, weights=False))
    changed, before = alone(other_first_image(sample)).features, alone(sample).features
    assert same_bits(changed[1:], before[1:])
    assert not same_bits(changed[:1], before[:1])


@pytest.mark.parametrize("part", ["spatial", "positions", "weights"])
def test_each_branch_between_images_lets_one_reach_another(part: str) -> None:
    parts = {"spatial": False, "positions": False, "weights": False, part: True}
    fusion, sample = opened(replace(SHAPE, **parts)), make_sample()
    changed = fusion(other_first_image(sample)).features
    assert not same_bits(changed[1], fusion(sample).features[1])


def test_the_same_place_of_other_images_is_all_that_positions_look_at() -> None:
    """Without the resampler's own attention a latent knows its part of the picture alone."""
    shape = replace(SHAPE, spatial=False, weights=False, text=False)
    fusion = opened(shape)
    assert fusion.across is not None
    fusion.across.resampler.attention.out.weight.data.zero_()
    latents_2md = torch.randn(2, 4, 16)
    changed_2md = latents_2md.clone()
    changed_2md[0, 1] += 1
    mixed, mixed_changed = (
        fusion.across.mix(latents, torch.empty(0, 24), *fusion.across.nothing_seen())[0]
        for latents in (latents_2md, changed_2md)
    )
    is_moved_2m = (mixed != mixed_changed).any(dim=-1)
    assert is_moved_2m.tolist() == [[False, True, False, False]] * 2


def test_without_weights_all_images_count_alike() -> None:
    weights_N = opened(replace(TIGHT, weights=False))(make_sample()).weights_N
    assert torch.equal(weights_N, torch.tensor([1 / 3] * 3 + [1 / 2] * 2))


def test_weights_share_out_the_budget() -> None:
    """By what an image's tokens count; each of these has one token over and over."""
    sample = make_sample(grids=[(8, 8)] * 3, blocks=[0] * 3)
    alike = tuple(features[:1].expand(64, -1).clone() for features in sample.features)
    fusion = opened(replace(SHAPE, budget=96))
    assert fusion.across is not None
    assert fusion.across.weighing is not None
    fusion.across.weighing.token.weight.data.mul_(9)
    fused = fusion(replace(sample, features=alike))
    tokens_N = fused.grids_N2.prod(axis=1)
    by_weight = fused.weights_N.detach().numpy().argsort()
    assert fused.weights_N.max() > 1.5 * fused.weights_N.min()
    assert (tokens_N[by_weight][1:] >= tokens_N[by_weight][:-1]).all()
    assert tokens_N.max() > tokens_N.min()


def test_what_is_asked_decides_what_a_pooled_token_is_made_of() -> None:
    # Gates are closed: nothing but the tokens themselves.
    fusion = Fusion(TIGHT, seed=0)
    assert fusion.across is not None
    assert fusion.across.weighing is not None
    fusion.across.weighing.token.weight.data.normal_()
    sample = make_sample()
    before, after = fusion(sample).features, fusion(other_text(sample)).features
    assert not same_bits(before[0], after[0])
    for pooled, features in zip(before, sample.features, strict=True):
        assert (pooled <= features.max(dim=0).values + 1e-5).all()
        assert (pooled >= features.min(dim=0).values - 1e-5).all()
