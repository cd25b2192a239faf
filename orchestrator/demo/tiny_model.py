"""Write a tiny model of a real family: random weights, its own tokenizer, nothing downloaded.

The folder loads with the stock ``AutoTokenizer``, ``AutoImageProcessor`` (``backend="pil"``)
and ``AutoModelForImageTextToText``, just as a checkpoint from a hub does.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    AutoModelForImageTextToText,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2VLConfig,
    Qwen3VLConfig,
)

from orchestrator.errors import ModelError

Size = Literal["demo", "test"]

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# Whole tokens for the words that the demo uses; all other text falls apart into bytes.
_WORDS = """
a all among answer any are assistant behind black blue brown by can cat colour colours
comes dark describe different differs dog each eight every empty false fifth first five four
fourth from front green has here how image images in is it its kind last left light like
many match me middle name nine no none nothing number of on one only or orange other photo
picture pictures pink purple question red right same second see seven show shown shows six
sixth system ten than that the them there these third this three to true two unlike user
what where which white with word yellow yes you
"""

# The rule by which Qwen models part text before merging bytes.
_PARTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif part['type'] == 'video' -%}
{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
{%- elif part['type'] == 'text' -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

_CLIP_MEAN_STD = (
    [0.48145466, 0.4578275, 0.40821073],
    [0.26862954, 0.26130258, 0.27577711],
)
_HALF_MEAN_STD = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])


@dataclass(frozen=True, slots=True)
class _Dims:
    """Widths and depths; heads are ``head_dim`` wide in both towers."""

    hidden: int
    layers: int
    vision_hidden: int
    vision_layers: int
    head_dim: int
    mlp: int


_DIMS: dict[Size, _Dims] = {
    "demo": _Dims(hidden=64, layers=3, vision_hidden=48, vision_layers=1, head_dim=32, mlp=128),
    "test": _Dims(hidden=32, layers=2, vision_hidden=32, vision_layers=2, head_dim=16, mlp=64),
}


def write_tiny_model(
    folder: Path, *, family: str = "qwen2_5_vl", seed: int = 0, size: Size = "demo"
) -> None:
    """Write configuration, weights, tokenizer and image processor into ``folder``.

    Args:
        folder: Made if absent; files of the same names are replaced.
        family: ``qwen2_vl``, ``qwen2_5_vl`` or ``qwen3_vl``.
        seed: Of the weights; the caller's random state is left as it was.
        size: ``demo`` learns the demo's task; ``test`` is as small as can be.

    Raises:
        ModelError: ``family`` is none of the three.
    """
    if family not in _CONFIGS:
        raise ModelError(
            f"no tiny model of family {family!r}",
            "demo.write_tiny_model",
            f"Use one of {', '.join(_CONFIGS)}",
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _build_tokenizer()
    tokenizer.save_pretrained(folder)
    _write_image_processor(folder, family)
    config = _CONFIGS[family](_DIMS[size], tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    model.generation_config = GenerationConfig(eos_token_id=[end, pad], pad_token_id=pad)
    model.save_pretrained(folder)


def _build_tokenizer() -> Any:  # noqa: ANN401 - transformers ships no types
    """Bytes, plus merges that spell each of ``_WORDS`` from its left, with and without a space.

    Merges are written down instead of learned: learning breaks ties in no promised order.
    """
    plain = _WORDS.split()
    words = [f"Ġ{word}" for word in plain] + plain + [word.capitalize() for word in plain]
    prefixes = {word[:end]: None for word in words for end in range(2, len(word) + 1)}
    vocabulary = dict.fromkeys([*sorted(pre_tokenizers.ByteLevel.alphabet()), *prefixes])
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(vocabulary)},
            merges=[(prefix[:-1], prefix[-1]) for prefix in prefixes],
            # Or "le", from "left", would break up "purple".
            ignore_merges=True,
        )
    )
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PARTS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL_TOKENS),
        chat_template=_CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=32768,
    )


def _write_image_processor(folder: Path, family: str) -> None:
    mean, std = _HALF_MEAN_STD if family == "qwen3_vl" else _CLIP_MEAN_STD
    settings = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280},
        "patch_size": 16 if family == "qwen3_vl" else 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": mean,
        "image_std": std,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _qwen2_vl(dims: _Dims, tokenizer: Any) -> Any:  # noqa: ANN401 - as above
    return Qwen2VLConfig(
        text_config={**_text(dims, tokenizer), "rope_parameters": _mrope(dims)},
        vision_config={
            **_vision(dims),
            "embed_dim": dims.vision_hidden,
            "hidden_size": dims.hidden,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        **_outer(tokenizer),
    )


def _qwen2_5_vl(dims: _Dims, tokenizer: Any) -> Any:  # noqa: ANN401 - as above
    return Qwen2_5_VLConfig(
        text_config={**_text(dims, tokenizer), "rope_parameters": _mrope(dims)},
        vision_config={
            **_vision(dims),
            "hidden_size": dims.vision_hidden,
            "intermediate_size": 2 * dims.vision_hidden,
            "out_hidden_size": dims.hidden,
            "window_size": 112,
            "fullatt_block_indexes": [dims.vision_layers - 1],
            "patch_size": 14,
        },
        **_outer(tokenizer),
    )


def _qwen3_vl(dims: _Dims, tokenizer: Any) -> Any:  # noqa: ANN401 - as above
    rope = {**_mrope(dims), "mrope_interleaved": True}
    return Qwen3VLConfig(
        text_config={
            **_text(dims, tokenizer),
            "rope_parameters": rope,
            "head_dim": dims.head_dim,
        },
        vision_config={
            **_vision(dims),
            "hidden_size": dims.vision_hidden,
            "intermediate_size": 2 * dims.vision_hidden,
            "out_hidden_size": dims.hidden,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
            "patch_size": 16,
        },
        **_outer(tokenizer),
    )


def _text(dims: _Dims, tokenizer: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    return {
        # Matrix widths that are a multiple of 64 are faster.
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": dims.hidden,
        "intermediate_size": dims.mlp,
        "num_hidden_layers": dims.layers,
        "num_attention_heads": dims.hidden // dims.head_dim,
        "num_key_value_heads": dims.hidden // dims.head_dim // 2,
        "max_position_embeddings": 32768,
        "bos_token_id": pad,
        "eos_token_id": end,
        "pad_token_id": pad,
        "tie_word_embeddings": False,
    }


def _mrope(dims: _Dims) -> dict[str, Any]:
    """Rotary frequencies: a quarter for time, the rest for down and across."""
    half = dims.head_dim // 2
    across = (half - half // 4) // 2
    return {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [half - 2 * across, across, across],
    }


def _vision(dims: _Dims) -> dict[str, Any]:
    return {
        "depth": dims.vision_layers,
        "num_heads": dims.vision_hidden // dims.head_dim,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }


def _outer(tokenizer: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    ids = {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}
    return {**ids, "tie_word_embeddings": False}


_CONFIGS: dict[str, Callable[[_Dims, Any], Any]] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
}
