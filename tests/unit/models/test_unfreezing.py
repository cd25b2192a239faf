"""Gates: what trains beside the adapter, how little of it is kept, and how it is handed on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from orchestrator.errors import ModelError
from orchestrator.models.export import save_adapter, save_merged
from orchestrator.models.forward import (
    encode_images,
    normalise,
    predict_correct,
    summed_loss,
)
from orchestrator.models.fusing import untuned
from orchestrator.models.loading import load_base
from orchestrator.models.lora import recompute_activations, set_training, trained_tensors
from orchestrator.models.tuned import load_tuned
from orchestrator.models.unfreezing import FILE, keep_published, load_unfrozen, unfreeze

Adapt = Callable[..., Any]
CPU = torch.device("cpu")
each_gate = pytest.mark.parametrize("gate", ["projector", "tower"])


def opened(adapt: Adapt, gate: Any, dtype: torch.dtype = torch.float64) -> Any:
    model = adapt(dtype=dtype)
    unfreeze(model, gate)
    recompute_activations(model)
    set_training(model, active=True)
    return model


def plain(adapt: Adapt, model: Any) -> Any:
    """A model of which the same trains, without any of our ways."""
    other = adapt()
    for name, parameter in other.named_parameters():
        parameter.requires_grad_(name in trained_tensors(model))
    return other


def vision(model: Any) -> dict[str, Any]:
    return {name: p for name, p in trained_tensors(model).items() if ".visual." in name}


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad for name, p in trained_tensors(model).items()}
    assert all(gradient is not None for gradient in found.values())
    return found


def encode(model: Any, batch: Any, chunk_patches: int = 8192) -> Any:
    coder = batch.info.images
    return encode_images(model, batch.patches_PD, batch.grids_I3, coder, chunk_patches)


def encode_plainly(model: Any, batch: Any) -> Any:
    """All images at once, by the stock model."""
    pixels = normalise(torch.from_numpy(batch.patches_PD), batch.info.images)
    grids = torch.from_numpy(batch.grids_I3).long()
    return model.get_base_model().get_image_features(pixels, grids, return_dict=True)


def logits(model: Any, batch: Any) -> torch.Tensor:
    layout = batch.lay_out()
    output = model.get_base_model()(
        input_ids=layout.input_ids,
        position_ids=layout.position_ids,
        mm_encoder_outputs={"image": encode(model, batch)},
        segment_lengths=layout.lengths_S,
    )
    found: torch.Tensor = output.logits
    return found


def learn(model: Any) -> None:
    """Move all that trains, as a training would, and further."""
    generator = torch.Generator().manual_seed(0)
    for parameter in vision(model).values():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)


def test_a_gate_opens_what_its_name_says(adapt: Adapt) -> None:
    frozen, projector, tower = (opened(adapt, gate) for gate in ("none", "projector", "tower"))
    assert vision(frozen) == {}
    everything = {name for name, _ in tower.named_parameters() if ".visual." in name}
    mergers = {name for name in everything if ".merger." in name or "deepstack" in name}
    assert vision(tower).keys() == everything
    assert vision(projector).keys() == mergers
    assert set() < mergers < everything


@each_gate
def test_gradients_through_a_gate_are_those_of_a_plain_pass(
    adapt: Adapt, batch: Any, gate: Any
) -> None:
    model = opened(adapt, gate)
    total = batch.loss(model)
    total.loss.backward()
    stock = plain(adapt, model)
    loss = summed_loss(stock, batch.lay_out(), encode_plainly(stock, batch)).loss
    loss.backward()
    assert abs(float(total.loss.detach() - loss.detach())) < 1e-9
    found, expected = gradients(model), gradients(stock)
    assert max(float((found[name] - expected[name]).abs().max()) for name in found) < 1e-9
    assert sum(bool(found[name].any()) for name in vision(model)) > 0.8 * len(vision(model))


@each_gate
def test_over_a_bfloat16_base_weights_are_float32_and_compute_as_bfloat16(
    adapt: Adapt, batch: Any, gate: Any
) -> None:
    frozen, model = adapt(dtype=torch.bfloat16), opened(adapt, gate, torch.bfloat16)
    assert {parameter.dtype for parameter in vision(model).values()} == {torch.float32}
    published, ours = (
        torch.cat(encode(one, batch, chunk_patches=1).pooler_output) for one in (frozen, model)
    )
    # Nothing has been learned yet.
    assert torch.equal(published, ours)
    batch.loss(model).loss.backward()
    assert {gradient.dtype for gradient in gradients(model).values()} == {torch.float32}


@each_gate
def test_an_image_has_the_same_features_in_any_company(
    adapt: Adapt, batch: Any, gate: Any
) -> None:
    model = opened(adapt, gate, torch.float32)
    together = encode(model, batch).pooler_output
    apart = [encode(model, batch.sample(number)).pooler_output for number in (1, 2)]
    assert torch.equal(torch.cat(together), torch.cat([*apart[0], *apart[1]]))


@each_gate
def test_images_keep_little_until_the_way_back(adapt: Adapt, batch: Any, gate: Any) -> None:
    model = opened(adapt, gate)
    kept = []
    for encode_by, one in ((encode, model), (encode_plainly, plain(adapt, model))):
        weights = {p.untyped_storage().data_ptr() for p in one.parameters()}
        found: dict[int, int] = {}

        def count(tensor: torch.Tensor, found: dict[int, int] = found) -> torch.Tensor:
            memory = tensor.untyped_storage()
            found[memory.data_ptr()] = memory.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            images = encode_by(one, batch)
        assert images.pooler_output[0].requires_grad
        kept.append(sum(size for where, size in found.items() if where not in weights))
    # Of a model so small, pixels are the larger part.
    assert kept[0] < 0.6 * kept[1]


def test_a_score_makes_no_graph_and_moves_with_the_weights(adapt: Adapt, batch: Any) -> None:
    model = opened(adapt, "tower")
    before = predict_correct(model, batch.lay_out(), encode(model, batch)).loss
    learn(model)
    with torch.no_grad():
        images = encode(model, batch)
    assert not images.pooler_output[0].requires_grad
    assert abs(float(predict_correct(model, batch.lay_out(), images).loss - before)) > 1e-3


@each_gate
def test_what_was_learned_is_handed_on(
    adapt: Adapt, batch: Any, model_path: str, tmp_path: Path, gate: Any
) -> None:
    model = opened(adapt, gate, torch.float32)
    learn(model)
    save_adapter(model, tmp_path / "adapter")
    set_training(model, active=False)
    with torch.no_grad():
        expected = logits(model, batch)
        tuned = load_tuned(model_path, tmp_path / "adapter", CPU, torch.float32)
        assert float((logits(tuned, batch) - expected).abs().max()) < 1e-5
    save_merged(model_path, tmp_path / "adapter", tmp_path / "merged")
    stock = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    own = {name: p for name, p in stock.named_parameters() if ".visual." in name}
    for name, parameter in vision(model).items():
        assert torch.equal(own[name.removeprefix("base_model.model.")], parameter)


def test_nothing_is_written_of_a_frozen_tower(adapt: Adapt, tmp_path: Path) -> None:
    save_adapter(adapt(), tmp_path)
    assert not (tmp_path / FILE).exists()


def test_weights_of_another_model_are_refused(
    adapt: Adapt, model_path: str, tmp_path: Path
) -> None:
    save_adapter(opened(adapt, "projector"), tmp_path)
    tensors = load_file(tmp_path / FILE)
    base = load_base(model_path, CPU, torch.float32)
    name = next(iter(tensors))
    for wrong in ({name: tensors[name][:1]}, {"model.visual.nose": tensors[name]}):
        save_file(wrong, tmp_path / FILE)
        with pytest.raises(ModelError, match=r"unfrozen\.safetensors.*the base has no"):
            load_unfrozen(base, tmp_path)
    (tmp_path / FILE).write_bytes(b"{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_unfrozen(base, tmp_path)


def test_untuned_is_the_tower_as_it_was_published(adapt: Adapt, batch: Any) -> None:
    model, published = opened(adapt, "tower"), adapt()
    keep_published(model)
    learn(model)
    with torch.no_grad():
        tuned = encode(model, batch).pooler_output[0]
        with untuned(model):
            found = encode(model, batch).pooler_output[0]
        again = encode(model, batch).pooler_output[0]
        expected = encode(published, batch, chunk_patches=1).pooler_output[0]
    assert torch.equal(found, expected)
    assert torch.equal(again, tuned)
    assert not torch.equal(found, tuned)
