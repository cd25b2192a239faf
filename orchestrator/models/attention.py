"""Attention inside each packed sample, and inside each picture or window of one.

The stock way to pack is a mask of P x P that forbids what lies outside a sample: its memory and
time grow with the square of the row. Here every sample attends by itself, causally and with no
mask at all, which computes the same numbers.

A vision tower's stock way is one call a window, which for a picture of 28 x 28 patches is 16
calls in each of most layers, and a GPU waits for each. Here windows of one size are one call.

Letters: B batch (1), A heads, K key and value heads, P positions, S samples, G windows of one
size, L positions of such a window, D head width.
"""

from collections import defaultdict
from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface, PreTrainedModel

NAME: Final = "packed_sdpa"
WINDOWS: Final = "windows_by_size_as_flash"
"""Transformers hands the borders of windows to what has "flash" in its name, in one call."""

_READ: Final = WeakTensorKeyDictionary()
"""Lengths by the tensor that they were read from, for as long as that lives."""


def packed_attention(
    _module: torch.nn.Module,
    query_BAPD: torch.Tensor,
    key_BKPD: torch.Tensor,
    value_BKPD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,  # noqa: ANN401 - the caller's interface is open
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sample of a packed row.

    Args:
        _module: The calling layer, which the interface passes first; not used.
        query_BAPD: Queries.
        key_BKPD: Keys; each head serves A / K heads of queries.
        value_BKPD: Values.
        attention_mask: Must be None.
        options: ``segment_lengths``, positions of each sample, is given to the model's own
            call and arrives here through every layer; ``scaling`` comes from the layer.

    Returns:
        [B, P, A, D] and, for the interface, no weights.
    """
    lengths_S: tuple[int, ...] | None = options.get("segment_lengths")
    assert lengths_S is not None, "the model was called without segment_lengths"
    assert attention_mask is None, "packed attention takes no mask"
    assert options.get("sliding_window") is None, "packed attention knows no window"
    group = query_BAPD.shape[1] // key_BKPD.shape[1]
    heads = (query_BAPD, _serve(key_BKPD, group), _serve(value_BKPD, group))
    splits = (torch.split(head, list(lengths_S), dim=2) for head in heads)
    attended = [
        scaled_dot_product_attention(q, k, v, is_causal=True, scale=options["scaling"])
        for q, k, v in zip(*splits, strict=True)
    ]
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


def windowed_attention(
    _module: torch.nn.Module,
    query_BAPD: torch.Tensor,
    key_BAPD: torch.Tensor,
    value_BAPD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,  # noqa: ANN401 - the caller's interface is open
) -> tuple[torch.Tensor, None]:
    """Attention within each picture, or each window of one.

    Args:
        _module: The calling layer, which the interface passes first; not used.
        query_BAPD: Queries.
        key_BAPD: Keys.
        value_BAPD: Values.
        attention_mask: Must be None.
        options: ``cu_seq_lens_q``, where windows begin and the last one ends, and ``scaling``,
            both from the layer.

    Returns:
        [B, P, A, D] and, for the interface, no weights.
    """
    assert attention_mask is None, "windowed attention takes no mask"
    assert not options.get("dropout"), "windowed attention has no dropout"
    lengths = _lengths(options["cu_seq_lens_q"])
    heads = (query_BAPD, key_BAPD, value_BAPD)
    scale = options["scaling"]
    if len(set(lengths)) == 1:
        size = (len(lengths), lengths[0])
        q, k, v = (torch.unflatten(head[0], 1, size).transpose(0, 1) for head in heads)
        found_GALD = scaled_dot_product_attention(q, k, v, scale=scale)
        return found_GALD.transpose(1, 2).flatten(0, 1)[None], None
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, length in enumerate(lengths):
        by_length[length].append(number)
    windows = [torch.split(head, lengths, dim=2) for head in heads]
    found: dict[int, torch.Tensor] = {}
    for numbers in by_length.values():
        q, k, v = (torch.cat([each[number] for number in numbers]) for each in windows)
        found_GALD = scaled_dot_product_attention(q, k, v, scale=scale)
        found |= zip(numbers, found_GALD.transpose(1, 2).unbind(), strict=True)
    return torch.cat([found[number] for number in range(len(lengths))])[None], None


def _lengths(borders: torch.Tensor) -> list[int]:
    """Positions of each window, read from the device once for all layers."""
    if borders not in _READ:
        _READ[borders] = borders.diff().tolist()
    lengths: list[int] = _READ[borders]
    return lengths


def attend_within_samples(model: PreTrainedModel) -> None:
    """Give the language model ``packed_attention``, the vision tower ``windowed_attention``."""
    AttentionInterface.register(NAME, packed_attention)
    AttentionInterface.register(WINDOWS, windowed_attention)
    model.set_attn_implementation({"text_config": NAME})
    # Past ``set_attn_implementation``, which would look for flash attention's own package.
    model.config.vision_config._attn_implementation = WINDOWS  # noqa: SLF001


def _serve(heads_BKPD: torch.Tensor, group: int) -> torch.Tensor:
    """Repeat each head for the queries it serves; its gradient is a plain sum over them."""
    return heads_BKPD[:, :, None].expand(-1, -1, group, -1, -1).flatten(1, 2)
