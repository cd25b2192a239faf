"""Fusion between the projector and the language model of every family."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.fusion.blocks import cut_at_answers
from orchestrator.fusion.saving import FILE, load_fusion
from orchestrator.models.export import save_adapter
from orchestrator.models.forward import encode_images, summed_loss
from orchestrator.models.fusing import (
    add_fusion,
    attach_fusion,
    fuse_images,
    fusion_of,
    untuned,
)
from orchestrator.models.lora import trained_tensors
from tests.unit.models.conftest import SMALL, stirred

Adapt = Callable[..., Any]
ROOMY = SMALL.model_copy(update={"budget": 1000})
POOLING = SMALL.model_copy(update={"latents": False})


def fused(model: Any, batch: Any) -> tuple[Any, Any]:
    images = encode_images(model, batch.patches_PD, batch.grids_I3, batch.info.images)
    return fuse_images(model, batch.words, images, batch.grids_I2)


def test_while_images_fit_a_new_fusion_changes_not_a_bit(adapt: Adapt, batch: Any) -> None:
    model = adapt(dtype=torch.float32)
    before = batch.loss(model).loss
    add_fusion(model, ROOMY, seed=0)
    assert torch.equal(batch.loss(model).loss, before)


def test_above_the_budget_a_new_fusion_is_the_model_on_pooled_tokens(
    adapt: Adapt, batch: Any
) -> None:
    pooling = adapt(dtype=torch.float32)
    add_fusion(pooling, POOLING, seed=0)
    learning = adapt(dtype=torch.float32)
    add_fusion(learning, SMALL, seed=0)
    assert torch.equal(batch.loss(learning).loss, batch.loss(pooling).loss)
    assert not torch.equal(
        batch.loss(adapt(dtype=torch.float32)).loss, batch.loss(pooling).loss
    )


def test_no_conversation_has_more_image_tokens_than_the_budget(
    adapt: Adapt, batch: Any
) -> None:
    model = stirred(adapt())
    images, grids_I2 = fused(model, batch)
    assert [len(tokens) for tokens in images.pooler_output] == grids_I2.prod(axis=1).tolist()
    # One image alone; three images, of which an answer parts the last from the first two.
    tokens_I = grids_I2.prod(axis=1)
    assert tokens_I[0] == min(8, batch.grids_I2[0].prod())
    assert tokens_I[1] + tokens_I[2] <= 8
    assert tokens_I[3] <= 8
    for layer in images.get("deepstack_features", ()):
        assert [len(tokens) for tokens in layer] == tokens_I.tolist()
    layout = batch.lay_out(grids_I2)
    assert int((layout.input_ids == batch.info.image_token_id).sum()) == tokens_I.sum()


def test_a_sample_is_fused_alike_alone_and_among_others(adapt: Adapt, batch: Any) -> None:
    model = stirred(adapt())
    images, _ = fused(model, batch)
    alone = [fused(model, batch.sample(number))[0] for number in (1, 2)]
    expected = [tokens for each in alone for tokens in each.pooler_output]
    for tokens, one in zip(images.pooler_output, expected, strict=True):
        torch.testing.assert_close(tokens, one)


@pytest.mark.parametrize("place", [13, 14, 17])
def test_another_answer_leaves_every_feature_as_it_was(
    adapt: Adapt, batch: Any, place: int
) -> None:
    assert batch.labels_L[place]
    model = stirred(adapt())
    before, _ = fused(model, batch)
    ids_L = batch.ids_L.copy()
    ids_L[place] += 1
    after, _ = fused(model, replace(batch, ids_L=ids_L))
    for one, other in zip(before.pooler_output, after.pooler_output, strict=True):
        assert torch.equal(one, other)


def test_another_later_question_and_image_leave_what_an_earlier_answer_sees(
    adapt: Adapt, batch: Any
) -> None:
    model = stirred(adapt())
    before, grids_I2 = fused(model, batch)
    ids_L = batch.ids_L.copy()
    ids_L[16] += 1
    pictures = (*batch.pictures[:3], 255 - batch.pictures[3])
    after, after_I2 = fused(model, replace(batch, ids_L=ids_L, pictures=pictures))
    assert np.array_equal(grids_I2, after_I2)
    for one, other in list(zip(before.pooler_output, after.pooler_output, strict=True))[:3]:
        assert torch.equal(one, other)
    assert not torch.equal(before.pooler_output[3], after.pooler_output[3])


def test_its_parameters_are_trained_beside_the_adapter(adapt: Adapt, batch: Any) -> None:
    model = stirred(adapt())
    batch.loss(model).loss.backward()
    learned = {n: p for n, p in trained_tensors(model).items() if ".image_fusion." in n}
    assert learned
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learned.values())


def test_untuned_is_the_base_under_the_same_budget(adapt: Adapt, batch: Any) -> None:
    model = stirred(adapt())
    pooling = adapt()
    add_fusion(pooling, POOLING, seed=0)
    with pooling.disable_adapter():
        expected = batch.loss(pooling).loss
    tuned = batch.loss(model).loss
    with untuned(model):
        assert torch.equal(batch.loss(model).loss, expected)
    assert torch.equal(batch.loss(model).loss, tuned)


def test_it_lies_beside_an_adapter_that_knows_nothing_of_it(
    adapt: Adapt, batch: Any, tmp_path: Path
) -> None:
    model = stirred(adapt(dtype=torch.float32))
    save_adapter(model, tmp_path)
    assert (tmp_path / FILE).exists()
    again = adapt(dtype=torch.float32)
    attach_fusion(again, load_fusion(tmp_path))
    assert torch.equal(batch.loss(again).loss, batch.loss(model).loss)
    assert fusion_of(again) is not None
    without = adapt(dtype=torch.float32)
    save_adapter(without, tmp_path / "other")
    assert not (tmp_path / "other" / FILE).exists()


def test_a_micro_batch_without_images_passes_as_it_is(adapt: Adapt, batch: Any) -> None:
    model = adapt(dtype=torch.float32)
    text = batch.sample(0)
    before = text.loss(model).loss
    add_fusion(model, SMALL, seed=0)
    assert torch.equal(text.loss(model).loss, before)


def test_a_fusion_is_computed_again_to_the_bit(adapt: Adapt, batch: Any) -> None:
    model = stirred(adapt(dtype=torch.float32))
    gradients = []
    for _ in range(2):
        images = encode_images(model, batch.patches_PD, batch.grids_I3, batch.info.images)
        images, grids_I2 = fuse_images(model, batch.words, images, batch.grids_I2)
        summed_loss(model, batch.lay_out(grids_I2), images).loss.backward()
        gradients.append([p.grad.clone() for p in trained_tensors(model).values()])
        model.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_a_conversation_is_cut_at_its_answers() -> None:
    is_image = np.array([0, 1, 0, 0, 1, 0, 0, 1, 0], np.bool_)
    is_label = np.array([0, 0, 0, 1, 0, 0, 1, 0, 0], np.bool_)
    blocks = cut_at_answers(is_image, is_label)
    assert blocks.image_N.tolist() == [0, 1, 2]
    assert np.flatnonzero(blocks.is_read_L).tolist() == [0, 2, 5, 8]
    assert blocks.text_T.tolist() == [0, 0, 1, 2]
