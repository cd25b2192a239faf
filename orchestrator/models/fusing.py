"""Fusion in its place: behind the projector, before the language model's row is laid out.

Letters: L tokens of a micro-batch as rendered, one slot an image; S samples; I images; T text
tokens that fusion reads; D width of the language model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.functional import embedding
from transformers.utils import ModelOutput

from orchestrator.config.fusion import FusionConfig
from orchestrator.fusion.blocks import cut_at_answers
from orchestrator.fusion.module import Fusion, Sample, merge
from orchestrator.fusion.shape import FusionShape
from orchestrator.models.layout import IMAGE_SLOT, Ints, Words
from orchestrator.models.unfreezing import swap_published

NAME = "image_fusion"
"""Attribute of the base model. PEFT saves what it knows and leaves this alone."""


def add_fusion(model: PeftModel, config: FusionConfig, seed: int) -> None:
    """Put a new fusion on an adapted model: its parameters are trained tensors from now on."""
    width = model.get_base_model().get_input_embeddings().weight.shape[1]
    attach_fusion(model, Fusion(FusionShape.from_config(config, width), seed))


def attach_fusion(model: PeftModel, fusion: Fusion) -> None:
    """Put a fusion on a model. To the instance: its class stays the stock one."""
    setattr(model.get_base_model(), NAME, fusion.to(model.device))


def fusion_of(model: PeftModel) -> Fusion | None:
    """The model's fusion, if it has one."""
    fusion: Fusion | None = getattr(model.get_base_model(), NAME, None)
    return fusion


@contextmanager
def untuned(model: PeftModel) -> Iterator[None]:
    """The base model as it was published inside; under the same token budget, if it has one."""
    fusion = fusion_of(model)
    if fusion is not None:
        attach_fusion(model, Fusion(replace(fusion.shape, latents=False), seed=0))
    swap_published(model)
    try:
        with model.disable_adapter():
            yield
    finally:
        swap_published(model)
        if fusion is not None:
            attach_fusion(model, fusion)


def fuse_images(
    model: PeftModel, words: Words, images: ModelOutput | None, grids_I2: Ints
) -> tuple[ModelOutput | None, Ints]:
    """What the language model gets of a micro-batch's images.

    Args:
        model: The adapted model, with a fusion or without.
        words: The micro-batch's text, and where its images stand.
        images: From ``encode_images``; None without images. Its features are replaced.
        grids_I2: Tokens of each image down and across, as the vision tower gave them.

    Returns:
        The images, and the grids that they have now.

    Raises:
        PlanError: The token budget has no room for so many images.
    """
    fusion = fusion_of(model)
    if fusion is None:
        return images, grids_I2
    own_I2 = grids_I2.astype(np.int64)
    is_read_L = (words.ids_L != IMAGE_SLOT) & ~words.labels_L
    samples = [*_samples(words, _embed(model, fusion, words.ids_L[is_read_L]))]
    if images is None:
        return None, grids_I2
    edges = np.cumsum([0, *words.images_S]).tolist()
    fused = [
        fusion(
            replace(
                sample, features=images.pooler_output[start:end], grids_N2=own_I2[start:end]
            )
        )
        for sample, (start, end) in zip(samples, pairwise(edges), strict=True)
    ]
    fused_I2 = np.concatenate([each.grids_N2 for each in fused])
    images.pooler_output = tuple(tokens for each in fused for tokens in each.features)
    if "deepstack_features" in images:
        # Scores learn from the tokens that they were made of; here nothing has to be kept.
        scores = [score_n.detach() for each in fused for score_n in each.scores]
        images.deepstack_features = [
            tuple(
                merge(tokens, score_n, tuple(before), tuple(after))
                for tokens, score_n, before, after in zip(
                    layer, scores, own_I2.tolist(), fused_I2.tolist(), strict=True
                )
            )
            for layer in images.deepstack_features
        ]
    return images, fused_I2


def embed_nothing(model: PeftModel) -> None:
    """Take part in fellows' ``fuse_images`` where the base is sharded among them."""
    fusion = fusion_of(model)
    if fusion is not None:
        _embed(model, fusion, np.zeros(0, np.int64))


def _samples(words: Words, text_TD: Tensor) -> Iterator[Sample]:
    """Every sample's text; its images are put in by the caller."""
    told = 0
    for start, end in pairwise(np.cumsum([0, *words.lengths_S]).tolist()):
        is_image_L = words.ids_L[start:end] == IMAGE_SLOT
        blocks = cut_at_answers(is_image_L, words.labels_L[start:end])
        count = len(blocks.text_T) if len(text_TD) else 0
        yield Sample(
            features=(),
            grids_N2=np.zeros((0, 2), np.int64),
            blocks_N=blocks.image_N,
            text_TD=text_TD[told : told + count],
            text_blocks_T=blocks.text_T[:count],
        )
        told += count


@torch.no_grad()
def _embed(model: PeftModel, fusion: Fusion, ids_T: Ints) -> Tensor:
    """Embeddings [T, D] of the text that fusion reads; nothing where it reads none."""
    table: Tensor = model.get_base_model().get_input_embeddings().weight
    if not (fusion.shape.latents and fusion.shape.text):
        return torch.empty(0, table.shape[1], dtype=table.dtype, device=model.device)
    if isinstance(table, DTensor):
        # All members of a crew come by here equally often, whatever they are to compute.
        table = table.full_tensor()
    tokens_T = torch.from_numpy(ids_T.astype(np.int64)).to(table.device)
    text_TD: Tensor = embedding(tokens_T, table)
    return text_TD
