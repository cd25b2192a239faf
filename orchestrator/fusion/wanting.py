"""How a whole number of tokens, which has no gradient, is learned all the same.

Letters: b tokens that an image keeps; D width of the language model.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


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
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, Tensor], _: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: FunctionCtx, grad_bD: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Gradients of the tokens, and of the weight: in units of a change to all tokens."""
        (tokens_bD,) = ctx.saved_tensors  # type: ignore[attr-defined]
        typical = tokens_bD.float().square().mean().sqrt()
        return grad_bD, -typical * grad_bD.float().square().sum().sqrt()
