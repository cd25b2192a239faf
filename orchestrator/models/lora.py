"""The adapter: the only part of the model that is trained."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import LoraConfig as StockLoraConfig
from peft import PeftModel, get_peft_model
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from orchestrator.config.lora import LoraConfig
from orchestrator.models.family import find_family
from orchestrator.plan.seeds import hash_to_seed

ADAPTER = "default"


def add_lora(model: PreTrainedModel, config: LoraConfig, seed: int) -> PeftModel:
    """Put adapters on the linear layers of the language model.

    The adapter starts as the identity (B is 0). Its weights depend on ``seed`` and their names
    alone, and are float32 even where the base is bfloat16.

    Args:
        model: As ``load_base`` gives it. It is changed in place.
        config: Width, strength and dropout of the adapter.
        seed: Of the run.

    Returns:
        The model in its adapter, dropout off: see ``set_training``.
    """
    family = find_family(model.config.model_type, where=model.config.name_or_path)
    stock = StockLoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=family.adapted,
        task_type="CAUSAL_LM",
    )
    # Forked, because the weights drawn here are thrown away and must not shift other draws.
    gpus = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), quiet_peft():
        adapted = get_peft_model(model, stock, adapter_name=ADAPTER)
    for name, parameter in trained_tensors(adapted).items():
        parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
        _draw(parameter.data, name, seed)
    set_training(adapted, active=False)
    return adapted


def trained_tensors(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The trained tensors by name, in the order of their names."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return dict(sorted(named.items()))


def recompute_activations(model: PeftModel, *, offload: bool = False) -> None:
    """Keep one activation a layer of the language model, and compute the rest again backwards.

    The vision tower has its own way: see ``models.unfreezing``. Dropout replays: the
    generators' states are kept with the activation.

    Args:
        model: Changed in place.
        offload: Keep a GPU's activations in host memory, pinned.
    """
    base = model.get_base_model()
    family = find_family(base.config.model_type, where=base.config.name_or_path)
    language_model = base.get_submodule(family.language_model)
    # Without a GPU they are in host memory, and transformers 5.23 would ask CUDA to pin it.
    offload = offload and model.device.type == "cuda"
    language_model.activation_checkpointing_enable({"use_reentrant": False}, offload=offload)
    # It also makes the embedding's output a leaf with a gradient, which nobody would read.
    language_model.disable_input_require_grads()


def set_training(model: PeftModel, *, active: bool) -> None:
    """Turn the adapter's dropout, and recomputing, on or off. The base stays in eval mode."""
    model.eval()
    for name, module in model.named_modules():
        if ".lora_dropout." in name:
            module.train(active)
        # A layer asks its own flag, and not its parts', whether it shall be recomputed.
        if isinstance(module, GradientCheckpointingLayer) and ".visual." not in name:
            module.training = active


def is_training(model: PeftModel) -> bool:
    """Whether ``set_training`` was last called with ``active``."""
    return any(module.training for module in model.modules())


@contextmanager
def evaluating(model: PeftModel) -> Iterator[None]:
    """No dropout and no gradients inside; whatever was set before afterwards."""
    active = is_training(model)
    set_training(model, active=False)
    try:
        with torch.no_grad():
            yield
    finally:
        set_training(model, active=active)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence what PEFT 0.21 does to transformers 5.23, and nobody here can change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".is_gradient_checkpointing. is", FutureWarning)
        yield


def _draw(tensor: torch.Tensor, name: str, seed: int) -> None:
    """Source: initial weights of LoRA as in ``peft`` 0.21: A Kaiming uniform, B zero."""
    if ".lora_B." in name:
        tensor.zero_()
        return
    generator = torch.Generator().manual_seed(hash_to_seed(f"{seed}/{name}".encode()))
    bound = math.sqrt(1 / tensor.shape[1])
    drawn = torch.empty(tensor.shape, dtype=torch.float32)
    tensor.copy_(drawn.uniform_(-bound, bound, generator=generator))
