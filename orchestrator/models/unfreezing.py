"""Gates: the projector, or the whole vision tower, trained beside the adapter.

Weights that train are float32 even where the base is bfloat16: a step of 1e-5 would be lost in
a weight of three digits. They compute in the base's format, rounded anew for every image, so
that what is trained is what the exported model computes.
"""

import re
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.func import functional_call
from torch.nn import Module, Parameter
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from orchestrator.config.train import Gate
from orchestrator.errors import ModelError
from orchestrator.models.family import Family, find_family

FILE = "unfrozen.safetensors"
_PUBLISHED = "published_weights"


def unfreeze(model: PeftModel, gate: Gate) -> None:
    """Train what a gate lets through; its tensors are ``trained_tensors`` from now on.

    Args:
        model: The adapted model, not sharded. Changed in place.
        gate: "projector" is what turns patches into tokens, "tower" all that sees images.
    """
    base = model.get_base_model()
    for unit in _units(base, gate):
        _train(unit)


def trains_vision(base: PreTrainedModel) -> bool:
    """Whether a gate is open: a graph then leads into the tower."""
    return bool(_unfrozen(base))


def keep_published(model: PeftModel) -> None:
    """Remember unfrozen weights as they are now, on the CPU: before trained ones are loaded."""
    base = model.get_base_model()
    kept = {name: p.detach().cpu().clone() for name, p in _unfrozen(base).items()}
    setattr(base, _PUBLISHED, kept)


def swap_published(model: PeftModel) -> None:
    """Exchange unfrozen weights for those kept; a second time, back."""
    base = model.get_base_model()
    unfrozen = _unfrozen(base)
    kept: dict[str, torch.Tensor] = getattr(base, _PUBLISHED, {})
    assert unfrozen.keys() == kept.keys(), "published weights were not kept"
    for name, parameter in unfrozen.items():
        now = parameter.detach().cpu().clone()
        parameter.data.copy_(kept[name])
        kept[name] = now


def save_unfrozen(model: PeftModel, folder: Path) -> None:
    """Write ``unfrozen.safetensors``, float32, by the base's own names; nothing if frozen.

    Args:
        model: The adapted model.
        folder: Where its adapter lies.
    """
    unfrozen = _unfrozen(model.get_base_model())
    if unfrozen:
        tensors = {name: p.detach().contiguous().cpu() for name, p in unfrozen.items()}
        save_file(tensors, folder / FILE)


def load_unfrozen(base: PreTrainedModel, folder: Path) -> None:
    """Put into a base, in its own format, what ``save_unfrozen`` wrote, if it wrote anything.

    Raises:
        ModelError: The file cannot be read, or is of another model.
    """
    path = folder / FILE
    if not path.exists():
        return
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unusable(f"cannot be read ({error})", path) from error
    own = dict(base.named_parameters())
    for name, tensor in tensors.items():
        if name not in own or own[name].shape != tensor.shape:
            raise _unusable(f"the base has no {name} of shape {tuple(tensor.shape)}", path)
        own[name].data.copy_(tensor)


def _unusable(problem: str, path: Path) -> ModelError:
    return ModelError(
        problem, str(path), "Name the base that was trained, and the folder as it was written"
    )


def _family(base: PreTrainedModel) -> Family:
    return find_family(base.config.model_type, where=base.config.name_or_path)


def _units(base: PreTrainedModel, gate: Gate) -> list[Module]:
    """What is computed, and computed again backwards, in one piece."""
    if gate == "none":
        return []
    family = _family(base)
    pattern = family.projectors if gate == "projector" else re.escape(family.vision_tower)
    return [module for name, module in base.named_modules() if re.fullmatch(pattern, name)]


def _unfrozen(base: PreTrainedModel) -> dict[str, Parameter]:
    """Trained tensors of the tower, by the base's own names, in their order."""
    prefix = _family(base).vision_tower
    tower = base.get_submodule(prefix)
    named = {f"{prefix}.{name}": p for name, p in tower.named_parameters() if p.requires_grad}
    return dict(sorted(named.items()))


class _Stock(Module):
    """A module as its class has it, past what ``_train`` put in front of it."""

    def __init__(self, part: Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the part's own
        return type(self.part).forward(self.part, *args, **kwargs)


def _train(unit: Module) -> None:
    """Give a module trained weights, and keep of each call its inputs alone."""
    dtype = next(unit.parameters()).dtype
    for parameter in unit.parameters():
        parameter.data = parameter.data.to(torch.promote_types(dtype, torch.float32))
        parameter.requires_grad_()
    stock = _Stock(unit)

    def rounded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the unit's own
        weights = {f"part.{name}": p.to(dtype) for name, p in unit.named_parameters()}
        return functional_call(stock, weights, args, kwargs, tie_weights=False)

    def forward(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the unit's own
        return checkpoint(rounded, *args, use_reentrant=False, **kwargs)

    # To the instance, as its names must stay those of the stock model.
    unit.forward = forward
