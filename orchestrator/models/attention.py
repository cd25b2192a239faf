"""Attention inside each packed sample.

The stock way to pack is a mask of P x P that forbids what lies outside a sample: its memory and
time grow with the square of the row. Here every sample attends by itself, causally and with no
mask at all, which computes the same numbers.

Letters: B batch (1), A heads, K key and value heads, P positions, S samples, D head width.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

NAME = "packed_sdpa"


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


def attend_within_samples(model: PreTrainedModel) -> None:
    """Give the language model ``packed_attention``; the vision tower stays as it is."""
    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation({"text_config": NAME})


def _serve(heads_BKPD: torch.Tensor, group: int) -> torch.Tensor:
    """Repeat each head for the queries it serves; its gradient is a plain sum over them."""
    return heads_BKPD[:, :, None].expand(-1, -1, group, -1, -1).flatten(1, 2)
