"""Gradients: who gets one, what they cost in memory, and that they come out the same again."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from orchestrator.fusion.module import Fusion, Sample
from orchestrator.fusion.shape import AT_ONCE, FusionShape
from tests.unit.fusion.conftest import SHAPE, TIGHT, make_sample, opened, same_bits

NEEDS_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def loss_of(fusion: Fusion, sample: Sample) -> Tensor:
    """Something that every feature has a say in."""
    parts = [
        (f.double() * torch.arange(1, f.numel() + 1, device=f.device).view_as(f).sin()).sum()
        for f in fusion(sample).features
    ]
    return torch.stack(parts).sum()


def gradients(fusion: Fusion, *samples: Sample) -> dict[str, Tensor]:
    fusion.zero_grad()
    for sample in samples:
        loss_of(fusion, sample).backward()
    return {name: p.grad for name, p in fusion.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("shape", [SHAPE, TIGHT])
def test_every_parameter_learns_once_the_gates_are_open(shape: FusionShape) -> None:
    fusion = opened(shape)
    found = gradients(fusion, make_sample())
    assert found.keys() == dict(fusion.named_parameters()).keys()
    assert all(gradient.abs().sum() > 0 for gradient in found.values())


def test_the_gate_learns_from_the_start_and_above_the_budget_the_weights_too() -> None:
    learning = {
        budget: {
            name
            for name, gradient in gradients(
                Fusion(replace(SHAPE, budget=budget), seed=0), make_sample()
            ).items()
            if gradient.abs().sum() > 0
        }
        for budget in (None, 20)
    }
    assert learning[None] == {"across.gate_D"}
    weighing = {"across.weighing.token.weight", "across.weighing.token.bias"}
    assert learning[20] == {"across.gate_D", *weighing}


@pytest.mark.parametrize("shape", [SHAPE, TIGHT])
def test_gradients_are_those_of_the_formula(shape: FusionShape) -> None:
    fusion, sample = opened(shape).double(), make_sample()
    wide = replace(
        sample,
        features=tuple(features.double() for features in sample.features),
        text_TD=sample.text_TD.double(),
    )
    found = gradients(fusion, wide)
    step = 1e-6
    for name in (
        "across.gate_D",
        "across.resampler.latents_md",
        "across.layers.1.text.out.weight",
        "across.weighing.token.weight",
    ):
        parameter = dict(fusion.named_parameters())[name]
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            parameter += step * direction
            above = loss_of(fusion, wide)
            parameter -= 2 * step * direction
            below = loss_of(fusion, wide)
            parameter += step * direction
        slope = ((above - below) / (2 * step)).item()
        assert (found[name] * direction).sum().item() == pytest.approx(slope, rel=1e-5)


def test_groups_of_1_and_of_32_images_train_in_one_micro_batch() -> None:
    one = make_sample(grids=[(4, 5)], blocks=[0])
    many = make_sample(grids=[(4, 5)] * 32, blocks=[0] * 32)
    fusion = opened(replace(SHAPE, budget=64))
    together = gradients(fusion, one, many)
    first, second = (
        {name: g.clone() for name, g in gradients(fusion, sample).items()}
        for sample in (one, many)
    )
    for name, gradient in together.items():
        alone = first.get(name, torch.zeros(())) + second[name]
        torch.testing.assert_close(gradient, alone)
        assert gradient.isfinite().all()


@pytest.fixture
def deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=before)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
def test_a_backward_pass_gives_the_same_bits_again(device: str) -> None:
    fusion, sample = opened(TIGHT).to(device), make_sample(dtype=torch.bfloat16)
    there = replace(
        sample,
        features=tuple(features.to(device) for features in sample.features),
        text_TD=sample.text_TD.to(device),
    )
    first = {name: gradient.clone() for name, gradient in gradients(fusion, there).items()}
    again = gradients(fusion, there)
    assert all(same_bits(first[name], again[name]) for name in first)


@pytest.mark.parametrize("budget", [None, 1024])
def test_what_is_kept_for_the_backward_pass_is_the_images_and_little_more(
    budget: int | None,
) -> None:
    num_images, width = 8, 512
    sample = make_sample(grids=[(14, 14)] * num_images, blocks=[0] * num_images, width=width)
    fusion = opened(FusionShape(width=width, budget=budget))
    own = {parameter.untyped_storage().data_ptr() for parameter in fusion.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = loss_of_plain(fusion, sample)
    held = sum(kept.values())
    loss.backward()
    images = sum(features.nbytes for features in sample.features)
    assert images <= held <= num_images * 1_000_000


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation makes."""

    num_elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self.num_elements = max(self.num_elements, tensor.numel())
        return made


def test_nothing_larger_than_a_few_images_is_ever_made() -> None:
    num_images, width = 32, 512
    sample = make_sample(grids=[(14, 14)] * num_images, blocks=[0] * num_images, width=width)
    fusion = opened(FusionShape(width=width, budget=None))
    with Largest() as largest:
        loss_of_plain(fusion, sample).backward()
    assert AT_ONCE // 2 * width < largest.num_elements <= AT_ONCE * width


def loss_of_plain(fusion: Fusion, sample: Sample) -> Tensor:
    """A sum, which itself keeps nothing."""
    return torch.stack([features.sum() for features in fusion(sample).features]).sum()
