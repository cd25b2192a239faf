"""What an answer sees never depends on what comes after it. Compared bit by bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.fusion.module import Fusion, Sample
from orchestrator.fusion.shape import FusionShape
from tests.unit.fusion.conftest import SHAPE, TIGHT, make_sample, opened, same_bits

SHAPES = [SHAPE, TIGHT]


def of_block(fusion: Fusion, sample: Sample, block: int) -> tuple[Any, ...]:
    """All that the images of a block become."""
    with torch.no_grad():
        fused = fusion(sample)
    (images_N,) = np.nonzero(sample.blocks_N == block)
    features = [fused.features[image] for image in images_N]
    return features, fused.weights_N[images_N], torch.from_numpy(fused.grids_N2[images_N])


def with_text(sample: Sample, block: int) -> Sample:
    """Other text from a block on."""
    text_TD = sample.text_TD.clone()
    text_TD[sample.text_blocks_T >= block] *= -1
    return replace(sample, text_TD=text_TD)


def with_image(sample: Sample, changed: int) -> Sample:
    """Another picture in one place."""
    features = [
        -features if image == changed else features
        for image, features in enumerate(sample.features)
    ]
    return replace(sample, features=tuple(features))


def cut(sample: Sample, block: int) -> Sample:
    """As if the conversation ended with a block."""
    images = int((sample.blocks_N <= block).sum())
    tokens = int((sample.text_blocks_T <= block).sum())
    return Sample(
        sample.features[:images],
        sample.grids_N2[:images],
        sample.blocks_N[:images],
        sample.text_TD[:tokens],
        sample.text_blocks_T[:tokens],
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_later_text_and_images_change_nothing_earlier(shape: FusionShape) -> None:
    fusion, sample = opened(shape), make_sample()
    before = of_block(fusion, sample, 0)
    later = [with_text(sample, 1), with_text(sample, 2), with_image(sample, 3)]
    for changed in [*later, with_image(sample, 4), cut(sample, 0), cut(sample, 1)]:
        assert all(map(same_bits, of_block(fusion, changed, 0), before))


@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_a_later_block_of_other_number_and_size_change_nothing(
    shape: FusionShape,
) -> None:
    fusion, sample = opened(shape), make_sample()
    more = make_sample(
        grids=[*sample.grids_N2.tolist()[:3], (7, 2), (1, 1), (5, 5), (2, 2)],
        blocks=(0, 0, 0, 1, 1, 2, 2),
        text_blocks=(0, 0, 0, 0, 2),
        seed=1,
    )
    mixed = replace(
        more,
        features=sample.features[:3] + more.features[3:],
        text_TD=torch.cat([sample.text_TD[:4], more.text_TD[4:]]),
    )
    assert all(map(same_bits, of_block(fusion, mixed, 0), of_block(fusion, sample, 0)))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_comes_before_an_answer_does_reach_what_it_sees(shape: FusionShape) -> None:
    fusion, sample = opened(shape), make_sample()
    later, _, _ = of_block(fusion, sample, 2)
    for changed in (with_image(sample, 0), with_text(sample, 2), with_image(sample, 4)):
        assert not same_bits(of_block(fusion, changed, 2)[0][:1], later[:1])
    # A question asked together with images is known to them, and so is one before.
    first, _, _ = of_block(fusion, sample, 0)
    assert not same_bits(of_block(fusion, with_text(sample, 0), 0)[0], first)


def test_training_and_evaluation_compute_the_same_bits() -> None:
    fusion, sample = opened(TIGHT), make_sample()
    with torch.no_grad():
        evaluated = fusion(sample)
    assert same_bits(evaluated.features, fusion(sample).features)
