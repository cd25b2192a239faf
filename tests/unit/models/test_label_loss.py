"""The head on label positions, held against logits of all of them at once."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from orchestrator.models.label_loss import label_loss, label_scores

T, D, V = 13, 4, 101
CHUNKS = (1, V, 5 * V - 1, 5 * V, T * V, 1 << 25)


def made(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs_TD = torch.randn(T, D, generator=generator).to(dtype)
    head_VD = torch.randn(V, D, generator=generator).to(dtype)
    return inputs_TD, head_VD, torch.randint(0, V, (T,), generator=generator)


def plain(inputs_TD: Tensor, head_VD: Tensor, targets_T: Tensor) -> Tensor:
    logits_TV = linear(inputs_TD, head_VD)
    wide = torch.promote_types(logits_TV.dtype, torch.float32)
    return cross_entropy(logits_TV.to(wide), targets_T, reduction="sum")


def with_gradient(loss_of: Any, inputs_TD: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    leaf_TD = inputs_TD.clone().requires_grad_()
    loss = loss_of(leaf_TD, *rest)
    # As part of something larger, which is not its own gradient of one.
    (3.0 * loss).backward()
    assert leaf_TD.grad is not None
    return loss.detach(), leaf_TD.grad


@pytest.mark.parametrize("chunk_logits", CHUNKS)
def test_loss_and_gradient_are_those_of_all_logits_at_once(chunk_logits: int) -> None:
    loss, gradient = with_gradient(label_loss, *made(), chunk_logits)
    whole, expected = with_gradient(plain, *made())
    assert abs(float(loss - whole)) < 1e-12
    assert float((gradient - expected).abs().max()) < 1e-12


def test_a_loss_over_bfloat16_is_float32_and_its_gradient_as_good_as_the_plain_one() -> None:
    loss, gradient = with_gradient(label_loss, *made(torch.bfloat16), 5 * V)
    whole, expected = with_gradient(plain, *made(torch.bfloat16))
    assert (loss.dtype, gradient.dtype) == (torch.float32, torch.bfloat16)
    assert abs(float(loss - whole)) < 0.01
    inputs_TD, head_VD, targets_T = made(torch.bfloat16)
    _, true = with_gradient(plain, inputs_TD.double(), head_VD.double(), targets_T)
    assert float((gradient - true).norm()) < 1.5 * float((expected - true).norm())


@pytest.mark.parametrize("chunk_logits", CHUNKS)
def test_scores_are_those_of_all_logits_at_once(chunk_logits: int) -> None:
    inputs_TD, head_VD, targets_T = made()
    likely_T = linear(inputs_TD, head_VD).argmax(dim=1)
    targets_T[::2] = likely_T[::2]
    scores = label_scores(inputs_TD, head_VD, targets_T, chunk_logits)
    assert abs(float(scores.loss - plain(inputs_TD, head_VD, targets_T))) < 1e-12
    assert scores.wrong_T.tolist() == (targets_T != likely_T).tolist()


def test_a_loss_has_the_same_bits_with_and_without_a_gradient() -> None:
    made_of = made(torch.float32)
    loss, _ = with_gradient(label_loss, *made_of, 5 * V)
    assert torch.equal(label_loss(*made_of, 5 * V), loss)
    assert torch.equal(label_scores(*made_of, 5 * V).loss, loss)


class _Largest(TorchDispatchMode):
    """Watches every tensor that is made."""

    num_numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.num_numbers = max([self.num_numbers, *sizes])
        return result


@pytest.mark.parametrize("what", [label_loss, label_scores])
def test_no_tensor_is_larger_than_a_chunk(what: Any) -> None:
    inputs_TD, head_VD, targets_T = made()
    with _Largest() as seen:
        inputs_TD.requires_grad_(what is label_loss)
        found = what(inputs_TD, head_VD, targets_T, 4 * V)
        if what is label_loss:
            found.backward()
    assert seen.num_numbers == 4 * V == D * V
    with _Largest() as seen:
        plain(inputs_TD, head_VD, targets_T)
    assert seen.num_numbers == T * V
