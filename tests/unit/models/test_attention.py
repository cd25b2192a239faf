"""Attention inside samples, against a mask over the whole row."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from orchestrator.models import attention
from orchestrator.models.attention import packed_attention, windowed_attention

LENGTHS_S = (1, 7, 30, 3)


def _mask() -> torch.Tensor:
    sample_P = torch.repeat_interleave(torch.arange(4), torch.tensor(LENGTHS_S))
    same = sample_P[:, None] == sample_P[None, :]
    return same & torch.ones(41, 41, dtype=torch.bool).tril()


@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_attention_and_its_gradients_are_those_of_the_masked_row(key_heads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, 41, 8, dtype=torch.float64, generator=generator).requires_grad_()
        for heads in (4, key_heads, key_heads)
    )
    ours, weights = packed_attention(
        torch.nn.Identity(), query, key, value, None, segment_lengths=LENGTHS_S, scaling=0.3
    )
    repeated = (x.repeat_interleave(4 // key_heads, dim=1) for x in (key, value))
    masked = scaled_dot_product_attention(query, *repeated, attn_mask=_mask(), scale=0.3)
    torch.testing.assert_close(ours, masked.transpose(1, 2), rtol=0, atol=1e-12)
    assert weights is None
    seen = torch.randn(ours.shape, dtype=torch.float64, generator=generator)
    gradients = [
        torch.autograd.grad((out * seen).sum(), (query, key, value))
        for out in (ours, masked.transpose(1, 2))
    ]
    for got, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_a_row_without_the_lengths_of_its_samples_is_refused() -> None:
    heads = torch.zeros(1, 2, 3, 4)
    with pytest.raises(AssertionError, match="segment_lengths"):
        packed_attention(torch.nn.Identity(), heads, heads, heads, None, scaling=1.0)


@pytest.mark.parametrize("lengths", [(6, 6, 6), (4, 2, 4, 1, 2), (5,)])
def test_each_window_attends_by_itself_and_those_of_one_size_in_one_call(
    lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    heads = [
        torch.randn(1, 2, sum(lengths), 8, generator=generator).requires_grad_()
        for _ in range(3)
    ]
    alone = [
        scaled_dot_product_attention(*window, scale=0.3)
        for window in zip(*(torch.split(head, lengths, dim=2) for head in heads), strict=True)
    ]
    expected = torch.cat(alone, dim=2).transpose(1, 2)
    calls = []

    def counted(*tensors: torch.Tensor, scale: float) -> torch.Tensor:
        calls.append(tensors)
        return scaled_dot_product_attention(*tensors, scale=scale)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", counted)
    borders = torch.tensor([0, *lengths]).cumsum(0)
    found, _ = windowed_attention(
        torch.nn.Identity(), *heads, None, cu_seq_lens_q=borders, scaling=0.3
    )
    assert torch.equal(found, expected)
    assert len(calls) == len(set(lengths))
    seen = torch.randn(found.shape, generator=generator)
    for got, wanted in zip(
        torch.autograd.grad((found * seen).sum(), heads),
        torch.autograd.grad((expected * seen).sum(), heads),
        strict=True,
    ):
        assert torch.equal(got, wanted)
