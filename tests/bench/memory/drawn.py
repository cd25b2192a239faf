"""Configurations drawn at random: models of every family, ways to train, micro-batches."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import Qwen2VLConfig, Qwen3VLConfig

from orchestrator.config.fusion import FusionConfig
from orchestrator.config.lora import LoraConfig
from tests.bench.memory.models import END, IMAGE, START, VIDEO, Group, Way, qwen2_5_vl

NUM_DRAWN = 30


@dataclass(frozen=True)
class Drawn:
    config: Any
    way: Way
    groups: list[Group]
    name: str


def drawn(number: int) -> Drawn:
    """The same for the same number."""
    rng = np.random.default_rng(number)
    family = ("qwen2_5_vl", "qwen2_vl", "qwen3_vl")[number % 3]
    gate = rng.choice(["none", "none", "none", "projector", "tower"])
    fusion = _fusion(rng) if rng.random() < 0.3 else None
    way = Way(
        dtype=torch.bfloat16 if rng.random() < 0.25 else torch.float32,
        lora=LoraConfig(
            rank=int(rng.choice([4, 16, 64])), dropout=float(rng.choice([0, 0.05]))
        ),
        recompute=bool(rng.random() < 0.75),
        gate=gate,
        fusion=fusion,
    )
    groups = [_group(rng) for _ in range(rng.integers(1, 4))]
    images = sum(len(group.grids) for group in groups)
    parts = [
        family,
        "bf16" if way.dtype == torch.bfloat16 else "f32",
        f"rank {way.lora.rank}",
        *(["dropout"] if way.lora.dropout else []),
        *(["all kept"] if not way.recompute else []),
        *([f"trains {gate}"] if gate != "none" else []),
        *([f"fused to {fusion.budget}"] if fusion else []),
        f"{len(groups)} samples, {images} images",
    ]
    return Drawn(_config(rng, family), way, groups, ", ".join(parts))


def _fusion(rng: np.random.Generator) -> FusionConfig:
    return FusionConfig(
        budget=int(rng.choice([32, 64, 128])),
        narrow=int(rng.choice([32, 64])),
        grid=int(rng.choice([2, 4])),
        heads=2,
        layers=int(rng.choice([1, 2])),
        latents=bool(rng.random() < 0.8),
    )


def _group(rng: np.random.Generator) -> Group:
    grids = tuple(
        (2 * int(rng.integers(2, 11)), 2 * int(rng.integers(2, 11)))
        for _ in range(rng.integers(1, 7))
    )
    labels = int(rng.integers(4, 200))
    return Group(grids=grids, text=labels + int(rng.integers(10, 200)), labels=labels)


def _config(rng: np.random.Generator, family: str) -> Any:
    heads = int(rng.choice([2, 4, 8]))
    width = heads * int(rng.choice([32, 64]))
    vision_heads = int(rng.choice([2, 4]))
    vision_width = vision_heads * 32
    text = {
        "vocab_size": int(rng.choice([512, 4096, 16384])),
        "hidden_size": width,
        "intermediate_size": int(width * rng.choice([2, 3, 5])),
        "num_hidden_layers": int(rng.integers(2, 7)),
        "num_attention_heads": heads,
        "num_key_value_heads": int(rng.choice([heads, heads // 2])),
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    depth = int(rng.integers(2, 6))
    inner = int(vision_width * rng.choice([2, 4]))
    vision = {"depth": depth, "num_heads": vision_heads}
    if family == "qwen2_5_vl":
        more = {"intermediate_size": inner, "fullatt_block_indexes": [depth - 1]}
        size = {"hidden_size": vision_width, "out_hidden_size": width}
        return qwen2_5_vl(text, {**vision, **more, **size}, tied=bool(rng.random() < 0.5))
    return _OTHERS[family](text, vision, vision_width, inner)


def _qwen2_vl(text: Any, vision: Any, width: int, inner: int) -> Any:
    more = {"embed_dim": width, "hidden_size": text["hidden_size"], "patch_size": 14}
    return Qwen2VLConfig(
        text_config={**text, "rope_parameters": _rope(text)},
        vision_config={**vision, **more, "mlp_ratio": inner // width},
        **_outer(),
    )


def _qwen3_vl(text: Any, vision: Any, width: int, inner: int) -> Any:
    return Qwen3VLConfig(
        text_config={
            **text,
            "rope_parameters": {**_rope(text), "mrope_interleaved": True},
            "head_dim": text["hidden_size"] // text["num_attention_heads"],
        },
        vision_config={
            **vision,
            "hidden_size": width,
            "intermediate_size": inner,
            "out_hidden_size": text["hidden_size"],
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
            "patch_size": 16,
        },
        **_outer(),
    )


_OTHERS = {"qwen2_vl": _qwen2_vl, "qwen3_vl": _qwen3_vl}


def _rope(text: Any) -> Any:
    half = text["hidden_size"] // text["num_attention_heads"] // 2
    across = (half - half // 4) // 2
    section = [half - 2 * across, across, across]
    return {"rope_type": "default", "rope_theta": 1e4, "mrope_section": section}


def _outer() -> Any:
    return {
        "image_token_id": IMAGE,
        "video_token_id": VIDEO,
        "vision_start_token_id": START,
        "vision_end_token_id": END,
        "tie_word_embeddings": False,
    }
