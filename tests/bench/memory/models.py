"""Models with random weights, made on the spot, and micro-batches for them.

Needs torch, transformers and peft; no Ray, no tokenizer, no files.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

from orchestrator.config.fusion import FusionConfig
from orchestrator.config.lora import LoraConfig
from orchestrator.config.train import Gate
from orchestrator.fusion.shape import FusionShape
from orchestrator.models.device import make_deterministic
from orchestrator.models.family import ModelInfo
from orchestrator.models.forward import summed_loss
from orchestrator.models.fusing import add_fusion
from orchestrator.models.layout import Words
from orchestrator.models.loading import _freeze
from orchestrator.models.lora import (
    add_lora,
    recompute_activations,
    set_training,
    trained_tensors,
)
from orchestrator.models.memory.recipe import Recipe
from orchestrator.models.memory.shape import ModelShape
from orchestrator.models.memory.sketch import Sketch, join, sketch
from orchestrator.models.qwen import QwenImages
from orchestrator.models.row import make_row
from orchestrator.models.unfreezing import unfreeze
from tests.bench.memory.measuring import Pass

IMAGE, START, END, VIDEO = 5, 6, 7, 8
FIRST_WORD = 20


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a model is trained."""

    dtype: torch.dtype = torch.float32
    lora: LoraConfig = field(default_factory=LoraConfig)
    recompute: bool = True
    offload: bool = False
    gate: Gate = "none"
    fusion: FusionConfig | None = None

    def recipe(self, width: int, device: torch.device) -> Recipe:
        return Recipe(
            itemsize=self.dtype.itemsize,
            on_gpu=device.type == "cuda",
            rank=self.lora.rank,
            drops=self.lora.dropout > 0,
            recompute=self.recompute,
            offload=self.offload,
            unfreeze=self.gate,
            fusion=FusionShape.from_config(self.fusion, width) if self.fusion else None,
        )


@dataclass(frozen=True, kw_only=True)
class Group:
    """One sample: pictures of these patches down and across, then text, then the answer."""

    grids: tuple[tuple[int, int], ...]
    text: int
    labels: int

    def sketch(self, merge: int, budget: int | None) -> Sketch:
        return sketch(
            self.grids,
            text_tokens=self.text,
            label_tokens=self.labels,
            merge=merge,
            budget=budget,
        )


def random_base(config: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A model of a configuration, drawn where it shall live."""
    torch.manual_seed(0)
    config.name_or_path = "random"
    with torch.device(device):
        return AutoModelForImageTextToText.from_config(
            config, dtype=dtype, attn_implementation="sdpa"
        )


class Trained:
    """A model in training as ``VisionLanguageLearner`` sets it up."""

    def __init__(self, config: Any, way: Way, device: torch.device) -> None:
        make_deterministic(1)
        self.shape = ModelShape.of(config)
        self.recipe = way.recipe(self.shape.text.width, device)
        self.device = device
        self.info = info_of(config)
        base = _freeze(random_base(config, device, way.dtype), "random")
        self.model = add_lora(base, way.lora, 0)
        unfreeze(self.model, way.gate)
        if way.fusion is not None:
            add_fusion(self.model, way.fusion, 0)
        if way.recompute:
            recompute_activations(self.model, offload=way.offload)
        set_training(self.model, active=True)

    def sketch(self, groups: list[Group]) -> Sketch:
        budget = self.recipe.fusion.budget if self.recipe.fusion else None
        return join(group.sketch(self.info.images.merge, budget) for group in groups)

    def step(self, groups: list[Group]) -> Pass:
        words = words_of(groups)
        grids_I3 = grids_of(groups)
        patches_PD = pixels_of(groups, self.info)

        def forward() -> torch.Tensor:
            row = make_row(self.model, self.info, words, patches_PD, grids_I3)
            return summed_loss(self.model, *row).loss

        def forget() -> None:
            for tensor in trained_tensors(self.model).values():
                tensor.grad = None

        return Pass(forward, forget, self.device)


def info_of(config: Any) -> ModelInfo:
    vision = config.vision_config
    images = QwenImages(
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        temporal=vision.temporal_patch_size,
        min_pixels=3136,
        max_pixels=1 << 24,
        rescale=1 / 255,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    return ModelInfo(
        model_type=config.model_type, image_token_id=config.image_token_id, images=images
    )


def words_of(groups: list[Group]) -> Words:
    ids, labels = [], []
    for number, group in enumerate(groups):
        words = np.random.default_rng(number).integers(FIRST_WORD, 60, group.text)
        # A word between images: the stock model takes neighbours for one image.
        ids.append(np.insert(words, np.arange(1, 1 + len(group.grids)), -1))
        labels.append(np.arange(len(ids[-1])) >= len(ids[-1]) - group.labels)
    return Words(
        ids_L=np.concatenate(ids).astype(np.int32),
        labels_L=np.concatenate(labels),
        lengths_S=np.array([len(each) for each in ids], np.int32),
        images_S=np.array([len(group.grids) for group in groups], np.int32),
    )


def grids_of(groups: list[Group]) -> Any:
    grids = [(1, *grid) for group in groups for grid in group.grids]
    return np.array(grids, np.int32).reshape(-1, 3)


def pixels_of(groups: list[Group], info: ModelInfo) -> Any:
    num_patches = int(grids_of(groups).prod(axis=1).sum())
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (num_patches, 3 * info.images.patch**2), np.uint8)


def qwen2_5_vl(text: dict[str, Any], vision: dict[str, Any], *, tied: bool = False) -> Any:
    """A configuration with the few tokens that we need."""
    half = text["hidden_size"] // text["num_attention_heads"] // 2
    across = (half - half // 4) // 2
    rope = {
        "rope_type": "default",
        "rope_theta": 1e6,
        "mrope_section": [half - 2 * across, across, across],
    }
    return Qwen2_5_VLConfig(
        text_config={
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "rope_parameters": rope,
            "max_position_embeddings": 128000,
            **text,
        },
        vision_config={
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            **vision,
        },
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=START,
        vision_end_token_id=END,
        tie_word_embeddings=tied,
    )


def facts_8() -> Any:
    """The model of which the goals speak: 8 + 8 layers, 512 wide, a tower of 384."""
    return qwen2_5_vl(
        {
            "vocab_size": 32000,
            "hidden_size": 512,
            "intermediate_size": 1024,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
        },
        {
            "depth": 8,
            "hidden_size": 384,
            "intermediate_size": 768,
            "num_heads": 6,
            "out_hidden_size": 512,
            "fullatt_block_indexes": [3, 7],
        },
    )


def qwen_3b() -> Any:
    """The shape of Qwen2.5-VL-3B."""
    return qwen2_5_vl(
        {
            "vocab_size": 151936,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
        },
        {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        tied=True,
    )


def tiny() -> Any:
    """As small as can be, for a dry run."""
    return qwen2_5_vl(
        {
            "vocab_size": 512,
            "hidden_size": 64,
            "intermediate_size": 344,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
        {
            "depth": 4,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [3],
        },
    )
