"""How a whole number of tokens, which has no gradient, is learned all the same.

Letters: n tokens of an image; b tokens that it keeps; D width of the language model.
"""

from typing import Any

import torch
from torch import Tensor

from orchestrator.fusion.pooling import GridSize, pool


class Wanted(torch.autograd.Function):
    """An image's pooled tokens as they are; backward, its weight is told what pooling cost.

    To the first order pooling costs nothing: a mean is right on average. To the second it costs
    as much as the loss bends along what was lost, and where a loss is a log likelihood, its
    bend is on average the square of its gradient (Fisher). So the weight's gradient is made of
    how much was lost in each place, and how much the loss feels there. It is nothing for an
    image that the loss does not feel, and nothing for one that has all of its tokens: an image
    wants more only for as long as more would help.

    Which of what was lost lies along the gradient is not asked: a model that reads something
    else in a place than its features, that it differs from other images, say, would want none.
    """

    @staticmethod
    def forward(
        tokens_bD: Tensor,
        _amount: Tensor,
        _features_nD: Tensor,
        _grid: GridSize,
        _own_grid: GridSize,
    ) -> Tensor:
        """The same tokens, to the bit."""
        return tokens_bD.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _: Tensor) -> None:  # noqa: ANN401 - as torch has it
        tokens_bD, _amount, features_nD, *ctx.grids = inputs
        ctx.save_for_backward(tokens_bD, features_nD)

    @staticmethod
    def backward(ctx: Any, grad_bD: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - the same
        """Gradients of the tokens, and of the weight: in units of a change to all tokens."""
        tokens_bD, features_nD = ctx.saved_tensors
        lost_nD = features_nD.float() - pool(tokens_bD.float(), *ctx.grids)
        felt_nD = pool(grad_bD.float(), *ctx.grids)
        cost_n = felt_nD.square().sum(-1) * lost_nD.square().mean(-1)
        return grad_bD, -cost_n.sum(-1).sqrt(), None, None, None


def as_wanted(
    tokens_bD: Tensor,
    amount: Tensor,
    features_nD: Tensor,
    *,
    grid: GridSize,
    own_grid: GridSize,
) -> Tensor:
    """An image's pooled tokens as they are; its weight gets a gradient from theirs.

    Args:
        tokens_bD: Of the image, on ``grid``.
        amount: Its weight, a scalar, or one for each image of a batch.
        features_nD: What the tokens were pooled from, on ``own_grid``.
        grid: Tokens down and across.
        own_grid: The image's own.
    """
    wanted = Wanted.apply(tokens_bD, amount, features_nD, grid, own_grid)  # type: ignore[no-untyped-call]
    same_bD: Tensor = wanted
    return same_bD
