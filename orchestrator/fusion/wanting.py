"""How a whole number of tokens, which has no gradient, is learned all the same.

Letters: b tokens that an image keeps; D width of the language model.
"""

from typing import Any

import torch
from torch import Tensor


class Wanted(torch.autograd.Function):
    """An image's tokens as they are; backward, its weight is told how much they matter.

    To the first order pooling costs nothing: a mean is right on average. What it costs is of
    the second order, and largest where the loss hangs most on the tokens, whichever way they
    should change. So the weight's gradient is the length of theirs: an image to whose tokens
    the loss is sensitive is to have more of them. Their sign would tell nothing: a model that
    looks at the right image and misreads it wants less of it.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(tokens_bD: Tensor, _amount: Tensor) -> Tensor:
        """The same tokens, to the bit."""
        return tokens_bD.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], _: Tensor) -> None:  # noqa: ANN401 - as torch has it
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad_bD: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - the same
        """Gradients of the tokens, and of the weight: in units of a change to all tokens."""
        (tokens_bD,) = ctx.saved_tensors
        typical = tokens_bD.float().square().mean().sqrt()
        return grad_bD, -typical * grad_bD.float().square().sum().sqrt()


def as_wanted(tokens_bD: Tensor, amount: Tensor) -> Tensor:
    """An image's tokens as they are; its weight, a scalar, gets a gradient from theirs."""
    same_bD: Tensor = Wanted.apply(tokens_bD, amount)  # type: ignore[no-untyped-call]
    return same_bD
