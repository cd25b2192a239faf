"""From patches and a row to the summed loss.

Letters: P patches; D bytes of a patch; C channels; I images; S samples; T label tokens.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from peft import PeftModel
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from orchestrator.models.chunks import CHUNK_PATCHES
from orchestrator.models.features import FeatureCache, join_features, only_read
from orchestrator.models.label_loss import head_computes, label_loss, label_scores
from orchestrator.models.layout import Ints, Layout
from orchestrator.models.lora import evaluating, trained_tensors
from orchestrator.models.qwen import Pixels, QwenImages
from orchestrator.models.unfreezing import trains_vision

R = TypeVar("R")


@dataclass(frozen=True)
class LossSum:
    """Cross-entropy summed over label tokens, in nats, float32."""

    loss: torch.Tensor
    label_tokens: int


@dataclass(frozen=True)
class Prediction:
    """How a micro-batch is predicted. ``correct_S``: every label token is the most likely."""

    loss: torch.Tensor
    label_tokens: int
    correct_S: npt.NDArray[np.bool_]


def encode_images(
    model: PeftModel,
    patches_PD: Pixels,
    grids_I3: Ints,
    images: QwenImages,
    chunk_patches: int = CHUNK_PATCHES,
    cache: FeatureCache | None = None,
) -> ModelOutput | None:
    """Run the vision tower, some whole images at a time: without a graph where it is frozen.

    Where it trains, it takes one image at a time, and keeps of each no more than its pixels, or
    what its projector read: see ``models.unfreezing``. With a cache it takes one at a time as
    well, so that an image's bits are the same in any company.

    Args:
        model: The adapted model.
        patches_PD: Patches of all images, one after another, as bytes.
        grids_I3: Patches of each image in time, down and across.
        images: How the patches were cut.
        chunk_patches: Most patches at once; an image that alone has more goes alone.
        cache: Where features of a frozen tower are kept.

    Returns:
        The family's own output for the ``mm_encoder_outputs`` of its model (``pooler_output``,
        and ``deepstack_features`` where it has them, split by image), or None without images.
    """
    base = model.get_base_model()
    learns = trains_vision(base)
    assert not learns or cache is None, "what is kept of a tower that trains is out of date"
    if learns or cache is not None:
        chunk_patches = 1
    outputs = []
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        for chunk in _chunks(patches_PD, grids_I3, chunk_patches):
            encode = partial(_encode, base, *chunk, images)
            # At once: a patch's last state is wider than its part of a token.
            outputs.append(only_read(cache.features(*chunk, encode) if cache else encode()))
    return join_features(outputs) if outputs else None


def _encode(
    base: PreTrainedModel, patches_PD: Pixels, grids_I3: Ints, images: QwenImages
) -> ModelOutput:
    device = next(base.parameters()).device
    # Copied, as arrays that are read in place are not writable, which torch requires.
    pixels = normalise(torch.from_numpy(patches_PD.copy()).to(device), images)
    thw = torch.from_numpy(grids_I3.astype(np.int64)).to(device)
    return base.get_image_features(pixels, thw, return_dict=True)


def normalise(patches_PD: torch.Tensor, images: QwenImages) -> torch.Tensor:
    """Bytes to the stock ``pixel_values``, float32 [P, D * temporal], bit for bit."""
    num_patches, num_channels = len(patches_PD), len(images.mean)
    mean_C1, std_C1 = (
        torch.tensor(values, dtype=torch.float32, device=patches_PD.device)[:, None]
        for values in (images.mean, images.std)
    )
    bytes_PCx = patches_PD.view(num_patches, num_channels, -1)
    # Scaled in float64 and rounded once, as the stock processor does.
    scaled_PCx = (bytes_PCx.to(torch.float64) * images.rescale).to(torch.float32)
    normal_PCx = (scaled_PCx - mean_C1) / std_C1
    moments = normal_PCx[:, :, None].expand(-1, -1, images.temporal, -1)
    return moments.reshape(num_patches, -1)


def summed_loss(model: PeftModel, layout: Layout, images: ModelOutput | None) -> LossSum:
    """Cross-entropy of one micro-batch, summed over its label tokens.

    Args:
        model: The adapted model, in training or not.
        layout: The row, on the model's device.
        images: From ``encode_images`` for the same micro-batch.

    Returns:
        The sum, with a graph to the trained tensors. Without any label token (every sample of
        the micro-batch was bad) it is 0, and so are its gradients.
    """
    if layout.label_tokens == 0:
        sums = torch.stack([p.sum() for p in trained_tensors(model).values()])
        return LossSum(sums.sum() * 0.0, 0)
    loss = _on_labels(model, layout, images, label_loss)
    return LossSum(loss, layout.label_tokens)


def predict_correct(model: PeftModel, layout: Layout, images: ModelOutput | None) -> Prediction:
    """Loss and correctness of a micro-batch, without dropout or gradients.

    A sample is correct when each of its label tokens is the most likely one given those before
    it, which is when greedy decoding would write the answer.
    """
    with evaluating(model):
        if layout.label_tokens == 0:
            nothing = torch.zeros((), device=layout.targets_T.device)
            return Prediction(nothing, 0, np.zeros(len(layout.lengths_S), np.bool_))
        scores = _on_labels(model, layout, images, label_scores)
        wrong_T = scores.wrong_T.cpu().numpy()
    sample_T = layout.sample_T.cpu().numpy()
    num_samples = len(layout.lengths_S)
    labels_S = np.bincount(sample_T, minlength=num_samples)
    wrong_S = np.bincount(sample_T[wrong_T], minlength=num_samples)
    return Prediction(scores.loss, layout.label_tokens, (labels_S > 0) & (wrong_S == 0))


def _on_labels(
    model: PeftModel,
    layout: Layout,
    images: ModelOutput | None,
    compute: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], R],
) -> R:
    """What is computed from the head's inputs [T, D], its weights, and the label tokens [T]."""
    # The base is called, its layers being the adapted ones: the wrapper would only add a frame.
    base = model.get_base_model()
    with head_computes(
        base, lambda inputs_TD, head: compute(inputs_TD, head, layout.targets_T)
    ):
        output = base(
            input_ids=layout.input_ids,
            position_ids=layout.position_ids,
            mm_encoder_outputs=None if images is None else {"image": images},
            logits_to_keep=layout.predicting_T,
            segment_lengths=layout.lengths_S,
            use_cache=False,
        )
    result: R = output.logits
    return result


def count_chunks(grids_I3: Ints, chunk_patches: int = CHUNK_PATCHES) -> int:
    """How often ``encode_images`` runs the vision tower for these images."""
    none_PD = np.empty((0, 0), np.uint8)
    return sum(1 for _ in _chunks(none_PD, grids_I3, chunk_patches))


def _chunks(
    patches_PD: Pixels, grids_I3: Ints, chunk_patches: int
) -> Iterator[tuple[Pixels, Ints]]:
    ends_I = grids_I3.prod(axis=1).cumsum().tolist()
    first, start = 0, 0
    for image, end in enumerate(ends_I):
        is_last = image + 1 == len(ends_I)
        if is_last or ends_I[image + 1] - start > chunk_patches:
            yield patches_PD[start:end], grids_I3[first : image + 1]
            first, start = image + 1, end
