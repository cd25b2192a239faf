"""The adapter: where it sits, how it starts, what is switched on."""

from collections.abc import Callable
from typing import Any

import torch

from orchestrator.config.lora import LoraConfig
from orchestrator.models.loading import load_base
from orchestrator.models.lora import add_lora, set_training, trained_tensors

Adapt = Callable[..., Any]
CPU = torch.device("cpu")


def _fresh(model_path: str, seed: int, dtype: torch.dtype = torch.float32) -> Any:
    return add_lora(load_base(model_path, CPU, dtype), LoraConfig(rank=4), seed)


def test_adapters_sit_on_every_linear_layer_of_the_language_model_and_nowhere_else(
    model_path: str,
) -> None:
    base = load_base(model_path, CPU, torch.float32)
    linear = {
        name
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.Linear) and ".language_model." in name
    }
    model = add_lora(base, LoraConfig(rank=4), 0)
    trained = {name.split(".lora_")[0] for name in trained_tensors(model)}
    assert trained == {f"base_model.model.{name}" for name in linear}
    assert list(trained_tensors(model)) == sorted(trained_tensors(model))


def test_an_adapter_starts_alike_whatever_was_drawn_before(model_path: str) -> None:
    torch.manual_seed(1)
    one = trained_tensors(_fresh(model_path, seed=5))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    two = trained_tensors(_fresh(model_path, seed=5))
    assert torch.equal(torch.get_rng_state(), state)
    other = trained_tensors(_fresh(model_path, seed=6))
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name])
        assert torch.equal(tensor, other[name]) == (".lora_B." in name)


def test_an_adapter_starts_as_the_identity(model_path: str) -> None:
    for name, tensor in trained_tensors(_fresh(model_path, seed=0)).items():
        assert bool(tensor.any()) == (".lora_A." in name)


def test_adapter_weights_are_float32_over_a_bfloat16_base(model_path: str, batch: Any) -> None:
    model = _fresh(model_path, 0, torch.bfloat16)
    assert {p.dtype for p in trained_tensors(model).values()} == {torch.float32}
    total = batch.loss(model)
    assert total.loss.dtype == torch.float32
    assert bool(torch.isfinite(total.loss))


def test_only_dropout_and_the_layers_that_recompute_are_ever_in_training(
    adapt: Adapt,
) -> None:
    model = adapt(dropout=0.5)
    assert not any(module.training for module in model.modules())
    set_training(model, active=True)
    kinds = {type(module).__name__ for module in model.modules() if module.training}
    kinds -= {"Dropout", "ModuleDict"}
    assert len(kinds) == 1
    assert kinds.pop().endswith("DecoderLayer")
