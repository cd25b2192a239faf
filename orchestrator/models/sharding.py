"""Spread a frozen base over the members of a crew: each holds a part of every large tensor.

A block's parts are gathered just before it computes and let go right after, forwards and
backwards, so that one block at a time is whole. What is gathered is what was loaded, bit for
bit, so a sharded base computes what a whole one does. The adapter stays whole on every member:
nothing here touches its gradients.

Every member has to run every block as often as the others do, in the same order.
"""

import hashlib
from collections.abc import Iterator

import torch
import torch.distributed as dist
from peft import PeftModel
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn import Module, Parameter
from transformers import PreTrainedModel

from orchestrator.errors import JobError
from orchestrator.models.family import find_family

LOADER = 0
"""The member that has the weights to begin with."""


def shard_base(model: PeftModel, mesh: DeviceMesh) -> None:
    """Share out an adapted model's base, and give every member all the rest of it.

    Member 0 brings the model with its weights, the others one without any (``outline_base``):
    they get theirs block by block, and never hold more than their parts and one block.

    Args:
        model: Changed in place; on the mesh's device afterwards.
        mesh: The crew's members, in one dimension.

    Raises:
        JobError: The members' models differ.
    """
    _refuse_others(model, mesh)
    base = model.get_base_model()
    spread = _Spread(mesh)
    for modules in _pieces(base):
        spread.fill(modules)
        trained = {p for module in modules for p in module.parameters() if p.requires_grad}
        fully_shard(
            modules,
            mesh=mesh,
            reshard_after_forward=True,
            ignored_params=trained,
        )
    spread.fill([model])
    # The root holds nothing itself: it only makes one whole of the parts.
    whole = {parameter for parameter in base.parameters() if not isinstance(parameter, DTensor)}
    fully_shard(base, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    # Encoding images goes past the model's forward.
    register_fsdp_forward_method(base, "get_image_features")
    _gather_ahead(base)


def held_bytes(model: Module) -> int:
    """Bytes of the frozen tensors that this process holds between two passes."""
    frozen = [p for p in model.parameters() if not p.requires_grad]
    return sum(_local(parameter).nbytes for parameter in frozen)


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def _pieces(base: PreTrainedModel) -> Iterator[list[Module]]:
    """What is gathered together: a block each, and each large layer outside of the blocks.

    Norms and biases outside of the blocks stay whole: they are not worth a message.
    """
    names = set(base._no_split_modules)  # noqa: SLF001 - what all libraries ask
    embedding, head = base.get_input_embeddings(), base.get_output_embeddings()
    if embedding.weight is head.weight:
        # One tensor of two layers has to be gathered as one.
        yield [embedding, head]
    blocks = [module for module in base.modules() if type(module).__name__ in names]
    yield from ([block] for block in blocks)
    inside = {part for block in blocks for part in block.modules()}
    for module in base.modules():
        is_large = any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
        is_tied = embedding.weight is head.weight and module in (embedding, head)
        if is_large and module not in inside and not is_tied:
            yield [module]


def _gather_ahead(base: PreTrainedModel) -> None:
    """Going back, gather each language block while the one above it computes; never the head.

    FSDP would take whatever ran before; before the first block, that is the embedding, which
    nobody needs going back.
    """
    # Its gradient is taken as its loss is computed: see models.label_loss.
    base.get_output_embeddings().set_unshard_in_backward(unshard_in_backward=False)
    family = find_family(base.config.model_type, where=base.config.name_or_path)
    before = None
    for layer in base.get_submodule(family.language_model).layers:
        assert isinstance(layer, FSDPModule)
        layer.set_modules_to_backward_prefetch([before or layer])
        before = layer


class _Spread:
    """Gives every member the loader's tensors."""

    def __init__(self, mesh: DeviceMesh) -> None:
        self._group = mesh.get_group()
        self._is_loader = mesh.get_local_rank() == LOADER
        self._device = torch.device(mesh.device_type)

    def fill(self, modules: list[Module]) -> None:
        """Fill what is still whole of some modules' tensors, those of their parts included."""
        # Forgotten afterwards, or all of the base would be held to the end of its sharding.
        # Nothing is missed by that: layers that share a tensor are filled together.
        done: dict[int, tuple[Tensor, Tensor]] = {}
        for part in (part for module in modules for part in module.modules()):
            tensors = [
                *part.named_parameters(recurse=False),
                *part.named_buffers(recurse=False),
            ]
            for name, tensor in tensors:
                if isinstance(tensor, DTensor):
                    continue
                if id(tensor) not in done:
                    filled = self._filled(tensor)
                    # Beside what was there before, whose identity might go to another.
                    done[id(tensor)] = done[id(filled)] = (tensor, filled)
                setattr(part, name, done[id(tensor)][1])

    def _filled(self, tensor: Tensor) -> Tensor:
        if self._is_loader:
            tensor.data = tensor.data.to(self._device).contiguous()
            filled = tensor
        else:
            data = torch.empty(tensor.shape, dtype=tensor.dtype, device=self._device)
            is_parameter = isinstance(tensor, Parameter)
            filled = (
                Parameter(data, requires_grad=tensor.requires_grad) if is_parameter else data
            )
        dist.broadcast(filled.data, group_src=LOADER, group=self._group)
        return filled


def _refuse_others(model: Module, mesh: DeviceMesh) -> None:
    """Tensors are told apart by their order alone: it has to be the same everywhere."""
    named = [*model.named_parameters(), *model.named_buffers()]
    text = "\n".join(f"{name} {tuple(t.shape)} {t.dtype}" for name, t in named)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "little")
    found = torch.tensor([number, -number], device=mesh.device_type)
    dist.all_reduce(found, dist.ReduceOp.MAX, group=mesh.get_group())
    if found[0] != number or found[1] != -number:
        raise JobError(
            "the workers of a cell have different models",
            "models.sharding",
            "Give all machines the same model folder and the same library versions",
        )
