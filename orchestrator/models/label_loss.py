"""The head of the language model on label positions, a few at a time.

A vocabulary of 150,000 makes logits, and what their loss needs on the way, the largest tensors
of a step: here no more of them is alive at once than one chunk takes. The head is frozen, so
each chunk's gradient is taken at once, and nothing but the gradient of its inputs is kept.

``F.linear_cross_entropy`` of torch 2.13 is the same idea, but sums a loss in the format of its
inputs (in bfloat16 8192 instead of 12718, over 1024 labels), and takes eight times as long:
``tests/bench/label_loss.py``.

Letters: T label tokens; t those of a chunk; D width of the language model; V vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from transformers import PreTrainedModel

from orchestrator.models.chunks import CHUNK_LOGITS


@dataclass(frozen=True)
class LabelScores:
    """How labels are predicted. ``wrong_T``: another token is more likely."""

    loss: Tensor
    wrong_T: Tensor


def label_loss(
    inputs_TD: Tensor, head_VD: Tensor, targets_T: Tensor, chunk_logits: int = CHUNK_LOGITS
) -> Tensor:
    """Cross-entropy summed over label tokens, in nats, at least float32.

    Args:
        inputs_TD: What the head gets at the positions that predict labels.
        head_VD: The head's weights, frozen.
        targets_T: The label tokens.
        chunk_logits: Most logits at once; one label token always goes.

    Returns:
        The sum, with a graph to ``inputs_TD`` where that has one.
    """
    assert not head_VD.requires_grad, "the head is frozen"
    loss: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]  # as torch has it
        inputs_TD, head_VD, targets_T, chunk_logits
    )
    return loss


@torch.no_grad()
def label_scores(
    inputs_TD: Tensor, head_VD: Tensor, targets_T: Tensor, chunk_logits: int = CHUNK_LOGITS
) -> LabelScores:
    """As ``label_loss``, without a graph, and whether each label is the most likely token."""
    losses, wrongs = [], []
    for inputs_tD, targets_t in _chunks(inputs_TD, head_VD, targets_T, chunk_logits):
        logits_tV = _logits(inputs_tD, head_VD)
        losses.append(cross_entropy(logits_tV, targets_t, reduction="sum"))
        wrongs.append(logits_tV.argmax(dim=1) != targets_t)
    return LabelScores(torch.stack(losses).sum(), torch.cat(wrongs))


@contextmanager
def head_computes(
    base: PreTrainedModel, compute: Callable[[Tensor, Tensor], Any]
) -> Iterator[None]:
    """Have the head return something else than logits; the model's output holds it as those.

    Inside, ``compute`` gets the head's inputs [T, D] and weights [V, D]. The head is still
    called once a pass, so where it is sharded, it is gathered once and is whole by then.
    """
    head = base.get_output_embeddings()
    assert getattr(head, "bias", None) is None, "no family has a bias there"

    def forward(inputs_1TD: Tensor) -> Any:  # noqa: ANN401 - whatever is computed
        return compute(inputs_1TD[0], head.weight)

    # To the instance, which hides its class's: hooks are called as ever.
    head.forward = forward
    try:
        yield
    finally:
        del head.forward


class _ChunkedLoss(torch.autograd.Function):
    """The sum, and its gradient beside it."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own
        inputs_TD: Tensor,
        head_VD: Tensor,
        targets_T: Tensor,
        chunk_logits: int,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        losses: list[Tensor] = []
        gradients: list[Tensor] = []
        for inputs_tD, targets_t in _chunks(inputs_TD, head_VD, targets_T, chunk_logits):
            with torch.set_grad_enabled(wanted):
                leaf_tD = inputs_tD.detach().requires_grad_(wanted)
                loss = cross_entropy(_logits(leaf_tD, head_VD), targets_t, reduction="sum")
            if wanted:
                gradients += torch.autograd.grad(loss, leaf_tD)
            losses.append(loss.detach())
        if wanted:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.stack(losses).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        (gradient_TD,) = ctx.saved_tensors
        return gradient_TD * grad.to(gradient_TD.dtype), None, None, None


def _chunks(
    inputs_TD: Tensor, head_VD: Tensor, targets_T: Tensor, chunk_logits: int
) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(1, chunk_logits // len(head_VD))
    yield from zip(torch.split(inputs_TD, size), torch.split(targets_T, size), strict=True)


def _logits(inputs_tD: Tensor, head_VD: Tensor) -> Tensor:
    """At least float32: a loss summed in bfloat16 would have lost all but three digits."""
    logits_tV = linear(inputs_tD, head_VD)
    return logits_tV.to(torch.promote_types(logits_tV.dtype, torch.float32))
