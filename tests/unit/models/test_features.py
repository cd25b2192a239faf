"""Features kept between epochs: a hit is a miss to the bit, and room is not overdrawn."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from orchestrator.models.features import FeatureCache
from orchestrator.models.forward import encode_images
from orchestrator.models.unfreezing import unfreeze

Adapt = Callable[..., Any]
CPU = torch.device("cpu")
AMPLE = 1 << 30


class Counting:
    """How many images the vision tower of a model has seen since."""

    def __init__(self, model: Any) -> None:
        self.num_images = 0
        model.get_base_model().model.visual.register_forward_pre_hook(
            self._count, with_kwargs=True
        )

    def _count(self, _module: Any, _args: Any, kwargs: Any) -> None:
        self.num_images += len(kwargs["grid_thw"])


def tensors(model: Any, one: Any, cache: FeatureCache | None, chunk: int = 1) -> list[Any]:
    coder = one.info.images
    images = encode_images(model, one.patches_PD, one.grids_I3, coder, chunk, cache)
    assert images is not None
    layers = images.get("deepstack_features", [])
    return [tensor for layer in (images.pooler_output, *layers) for tensor in layer]


def test_features_are_the_same_to_the_bit_whether_they_were_kept_or_not(
    adapt: Adapt, batch: Any
) -> None:
    model, cache = adapt(dtype=torch.float32), FeatureCache(AMPLE, CPU)
    seen = Counting(model)
    expected = tensors(model, batch, cache=None)
    assert seen.num_images == 4
    # One of them is kept by then, in other company.
    tensors(model, batch.sample(1), cache)
    for num_images in (4 + 4, 4 + 4, 4 + 4):
        found = tensors(model, batch, cache, chunk=8192)
        assert all(map(torch.equal, found, expected))
        assert len(found) == len(expected)
        assert seen.num_images == num_images


def test_a_loss_through_kept_features_is_the_same_to_the_bit(adapt: Adapt, batch: Any) -> None:
    model, cache = adapt(dtype=torch.float32), FeatureCache(AMPLE, CPU)
    losses = [
        batch.loss(model, chunk_patches=1, cache=one).loss for one in (None, cache, cache)
    ]
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("room", [0.0, 0.5, 1.0])
def test_what_is_in_stays_and_the_rest_is_made_anew(
    adapt: Adapt, batch: Any, room: float
) -> None:
    model = adapt(dtype=torch.float32)
    whole_bytes = sum(tensor.nbytes for tensor in tensors(model, batch, cache=None))
    cache = FeatureCache(int(room * whole_bytes), CPU)
    tensors(model, batch, cache)
    seen = Counting(model)
    expected = tensors(model, batch, cache=None)
    again = []
    for _ in range(3):
        before = seen.num_images
        assert all(map(torch.equal, tensors(model, batch, cache), expected))
        again.append(seen.num_images - before)
    assert len(set(again)) == 1
    assert (again[0] == 0, again[0] == 4) == (room == 1.0, room == 0.0)


def test_pixels_in_another_grid_are_another_image(adapt: Adapt, batch: Any) -> None:
    model, cache = adapt(dtype=torch.float32), FeatureCache(AMPLE, CPU)
    one = batch.sample(2)
    grids_I3 = one.grids_I3[:, [0, 2, 1]]
    assert grids_I3.tolist() != one.grids_I3.tolist()
    coder, found = one.info.images, []
    for grids in (one.grids_I3, grids_I3):
        images = encode_images(model, one.patches_PD, grids, coder, cache=cache)
        found.append(torch.cat(images.pooler_output))
    assert not torch.equal(*found)


def test_a_tower_that_trains_is_never_cached(adapt: Adapt, batch: Any) -> None:
    model = adapt()
    unfreeze(model, "projector")
    with pytest.raises(AssertionError, match="out of date"):
        tensors(model, batch, FeatureCache(AMPLE, CPU))
