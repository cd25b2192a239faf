"""What the vision tower made of images, and a place in host memory to keep it between epochs.

Letters: I images; P patches of one image; D bytes of a patch.
"""

import hashlib
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from orchestrator.models.layout import Ints
from orchestrator.models.qwen import Pixels

GIB = 1 << 30
Layers = dict[str, list[tuple[Tensor, ...]]]


class FeatureCache:
    """Features of images that were seen before, by their pixels.

    What is in it stays. Epochs are shuffled, and of shuffled images a cache that holds half and
    makes room for the newest finds one in six again, one that keeps the first finds half:
    ``tests/bench/features.py``.

    Args:
        room_bytes: The most that it holds.
        device: Where the features are wanted.
    """

    def __init__(self, room_bytes: int, device: torch.device) -> None:
        self._left_bytes = room_bytes
        self._device = device
        self._kept: dict[bytes, ModelOutput] = {}

    def features(
        self, patches_PD: Pixels, grids_13: Ints, encode: Callable[[], ModelOutput]
    ) -> ModelOutput:
        """The features of one image: kept ones, or new ones, which are the same to the bit.

        Args:
            patches_PD: Its patches.
            grids_13: Its patches in time, down and across.
            encode: Makes them, of this image alone: its bits must not depend on others.
        """
        name = hashlib.blake2b(patches_PD.data, digest_size=16)
        name.update(grids_13.tobytes())
        kept = self._kept.get(name.digest())
        if kept is not None:
            return _moved(kept, self._device)
        fresh = encode()
        layers = chain.from_iterable(_read(fresh).values())
        size = sum(tensor.nbytes for layer in layers for tensor in layer)
        if size <= self._left_bytes:
            self._left_bytes -= size
            self._kept[name.digest()] = _moved(fresh, torch.device("cpu"))
        return fresh


def only_read(output: ModelOutput) -> ModelOutput:
    """The same without what nobody reads afterwards: the last states of all patches."""
    return _output(type(output), _read(output))


def join_features(outputs: list[ModelOutput]) -> ModelOutput:
    """One output of several, image after image."""
    first, *others = map(_read, outputs)
    joined = {name: [*layers] for name, layers in first.items()}
    for other in others:
        for name, layers in other.items():
            joined[name] = [a + b for a, b in zip(joined[name], layers, strict=True)]
    return _output(type(outputs[0]), joined)


def _moved(output: ModelOutput, device: torch.device) -> ModelOutput:
    moved = {
        name: [tuple(tensor.to(device) for tensor in layer) for layer in layers]
        for name, layers in _read(output).items()
    }
    return _output(type(output), moved)


def _read(output: ModelOutput) -> Layers:
    """What the language model reads: by field and layer, a tensor an image."""
    read = {"pooler_output": [tuple(output.pooler_output)]}
    if "deepstack_features" in output:
        read["deepstack_features"] = [tuple(layer) for layer in output.deepstack_features]
    return read


def _output(kind: type[ModelOutput], layers: Layers) -> ModelOutput:
    fields: dict[str, Any] = {**layers, "pooler_output": layers["pooler_output"][0]}
    return kind(**fields)
