"""Losses and gradients, in float64 where equality is the point."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoImageProcessor, AutoModelForImageTextToText

from orchestrator.models.device import seed_micro_batch
from orchestrator.models.forward import encode_images, predict_correct, summed_loss
from orchestrator.models.lora import recompute_activations, set_training, trained_tensors
from tests.unit.train.devices import on_every_device

Adapt = Callable[..., Any]


def _gradients(model: Any) -> dict[str, torch.Tensor]:
    gradients = {}
    for name, parameter in trained_tensors(model).items():
        assert parameter.grad is not None
        gradients[name] = parameter.grad.clone()
        parameter.grad = None
    return gradients


def _differ(these: dict[str, torch.Tensor], those: dict[str, torch.Tensor]) -> float:
    return max(float((these[name] - those[name]).abs().max()) for name in these)


def test_a_packed_micro_batch_equals_its_samples_one_by_one(adapt: Adapt, batch: Any) -> None:
    model = adapt()
    together = batch.loss(model)
    together.loss.backward()
    packed = _gradients(model)
    alone = [batch.sample(number).loss(model) for number in range(3)]
    for one in alone:
        one.loss.backward()
    assert together.label_tokens == sum(one.label_tokens for one in alone)
    assert abs(together.loss.item() - sum(one.loss.item() for one in alone)) < 1e-9
    assert min(float(gradient.abs().max()) for gradient in packed.values()) > 1e-6
    assert _differ(packed, _gradients(model)) < 1e-9


def test_the_loss_of_a_sample_is_that_of_the_stock_model(
    adapt: Adapt, batch: Any, model_path: str
) -> None:
    model = adapt()
    for name, parameter in trained_tensors(model).items():
        parameter.data.mul_(0.0 if ".lora_B." in name else 1.0)
    stock = AutoModelForImageTextToText.from_pretrained(model_path, dtype=torch.float64).eval()
    for number in range(3):
        one = batch.sample(number)
        inputs = _stock_inputs(one, model_path)
        with torch.no_grad():
            output = stock(**inputs)
        ours = one.loss(model)
        labels = inputs["labels"][0, 1:]
        in_float64 = cross_entropy(output.logits[0, :-1], labels, reduction="sum")
        assert abs(ours.loss.item() - float(in_float64)) < 1e-9
        # The stock loss is a mean and computed in float32.
        mean = ours.loss.item() / ours.label_tokens
        assert abs(mean - float(output.loss)) < 1e-5


def _stock_inputs(one: Any, model_path: str) -> dict[str, torch.Tensor]:
    layout = one.lay_out()
    labels = torch.full_like(layout.input_ids, -100)
    labels[0, layout.predicting_T + 1] = layout.targets_T
    inputs = {
        "input_ids": layout.input_ids,
        "labels": labels,
        "attention_mask": torch.ones_like(layout.input_ids),
        "mm_token_type_ids": (layout.input_ids == one.info.image_token_id).int(),
    }
    if one.pictures:
        coder = one.info.images
        processor = AutoImageProcessor.from_pretrained(
            model_path, backend="pil", min_pixels=coder.min_pixels, max_pixels=coder.max_pixels
        )
        pictures = list(one.pictures)
        inputs |= processor(pictures, return_tensors="pt", input_data_format="channels_last")
    return inputs


def test_the_vision_tower_gives_the_same_in_chunks_of_whole_images(
    adapt: Adapt, batch: Any
) -> None:
    model = adapt()
    whole = batch.loss(model)
    for chunk_patches in (1, 60):
        assert abs(batch.loss(model, chunk_patches).loss.item() - whole.loss.item()) < 1e-9


def test_no_gradient_reaches_the_vision_tower(adapt: Adapt, batch: Any) -> None:
    model = adapt()
    recompute_activations(model)
    set_training(model, active=True)
    images = encode_images(model, batch.patches_PD, batch.grids_I3, batch.info.images)
    assert images is not None
    assert not any(features.requires_grad for features in images.pooler_output)
    summed_loss(model, batch.lay_out(), images).loss.backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == set(trained_tensors(model))
    embed = model.get_base_model().get_input_embeddings()
    assert not embed(batch.lay_out().input_ids).requires_grad


def test_recomputing_replays_dropout_to_the_bit(adapt: Adapt, batch: Any) -> None:
    kept, recomputed = adapt(dropout=0.5), adapt(dropout=0.5)
    recompute_activations(recomputed)
    losses, gradients = [], []
    for model in (kept, recomputed):
        set_training(model, active=True)
        seed_micro_batch(0, 1, 2, 3)
        loss = batch.loss(model).loss
        # Whatever is drawn in between must not reach what is recomputed.
        torch.rand(5)
        loss.backward()
        losses.append(loss.item())
        gradients.append(_gradients(model))
    assert losses[0] == losses[1]
    assert _differ(gradients[0], gradients[1]) == 0.0


def test_a_micro_batch_gives_the_same_bits_whatever_was_computed_before(
    adapt: Adapt, batch: Any
) -> None:
    results = []
    for before in ((), (0, 2)):
        model = adapt(dropout=0.1, dtype=torch.float32)
        set_training(model, active=True)
        for number in before:
            batch.sample(number).loss(model).loss.backward()
        model.zero_grad()
        seed_micro_batch(0, 0, 7, 1)
        total = batch.loss(model)
        total.loss.backward()
        results.append((total.loss.item(), _gradients(model)))
    assert results[0][0] == results[1][0]
    assert _differ(results[0][1], results[1][1]) == 0.0


@on_every_device
def test_offloading_keeps_activations_elsewhere_and_changes_no_bit(
    adapt: Adapt, batch: Any, device: str
) -> None:
    found, held_bytes = [], []
    for offload in (False, True):
        model = adapt(dropout=0.5, dtype=torch.float32).to(device)
        recompute_activations(model, offload=offload)
        set_training(model, active=True)
        images = encode_images(model, batch.patches_PD, batch.grids_I3, batch.info.images)
        layout = batch.lay_out().to(torch.device(device))
        seed_micro_batch(0, 1, 2, 3)
        before_bytes = torch.cuda.memory_allocated()
        loss = summed_loss(model, layout, images).loss
        held_bytes.append(torch.cuda.memory_allocated() - before_bytes)
        loss.backward()
        found.append((loss.item(), _gradients(model)))
    assert found[0][0] == found[1][0]
    assert _differ(found[0][1], found[1][1]) == 0.0
    # The inputs of two layers; a CPU's activations are where they would be moved to.
    width = model.get_base_model().config.text_config.hidden_size
    moved_bytes = 2 * 4 * width * layout.input_ids.numel() if device == "cuda" else 0
    assert held_bytes[0] - held_bytes[1] >= moved_bytes


def test_recomputing_keeps_less(adapt: Adapt, batch: Any) -> None:
    saved = []
    for recompute in (False, True):
        model = adapt()
        if recompute:
            recompute_activations(model)
        set_training(model, active=True)
        num_bytes = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal num_bytes
            num_bytes += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            batch.loss(model)
        saved.append(num_bytes)
    assert saved[1] < saved[0] / 2


def test_dropout_depends_on_the_seed_and_is_off_in_evaluation(adapt: Adapt, batch: Any) -> None:
    model = adapt(dropout=0.5)
    quiet = batch.loss(model).loss.item()
    set_training(model, active=True)
    loud = []
    for step in (1, 2, 1):
        seed_micro_batch(0, 0, step, 0)
        loud.append(batch.loss(model).loss.item())
    assert loud[0] == loud[2] != loud[1]
    images = encode_images(model, batch.patches_PD, batch.grids_I3, batch.info.images)
    assert predict_correct(model, batch.lay_out(), images).loss.item() == quiet
    seed_micro_batch(0, 0, 1, 0)
    assert batch.loss(model).loss.item() == loud[0]


def test_a_sample_is_correct_when_each_of_its_labels_is_the_most_likely_token(
    adapt: Adapt, batch: Any
) -> None:
    model = adapt()
    images = encode_images(model, batch.patches_PD, batch.grids_I3, batch.info.images)
    layout = batch.lay_out()
    assert not predict_correct(model, layout, images).correct_S.any()
    with torch.no_grad():
        logits = model.get_base_model()(
            input_ids=layout.input_ids,
            position_ids=layout.position_ids,
            mm_encoder_outputs={"image": images},
            segment_lengths=layout.lengths_S,
        ).logits[0]
    likely_T = logits[layout.predicting_T].argmax(dim=1)
    # All right but for one label of the second sample.
    likely_T[2] += 1
    layout.targets_T.copy_(likely_T)
    assert predict_correct(model, layout, images).correct_S.tolist() == [True, False, True]


def test_a_micro_batch_of_bad_samples_only_has_no_loss_and_no_gradient(
    adapt: Adapt, batch: Any
) -> None:
    model = adapt()
    none = np.zeros(0, np.int32)
    empty = type(batch)(batch.info, none, none.astype(np.bool_), none, none, ())
    total = empty.loss(model)
    total.loss.backward()
    assert (total.loss.item(), total.label_tokens) == (0.0, 0)
    assert all(float(gradient.abs().max()) == 0.0 for gradient in _gradients(model).values())
    assert predict_correct(model, empty.lay_out(), None).correct_S.tolist() == []
