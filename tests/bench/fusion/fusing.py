"""The module under study on a whole batch at once: ``orchestrator.fusion``, part by part.

The module takes one sample at a time, which on a batch of tiny samples costs more than the
arithmetic. Here its own parts get the whole batch; a test holds this to the module.

Letters: S samples, N pictures of a sample, n tokens of a picture, b that it keeps, L tokens of
a sample, R pictures of one grid, m latents of a picture, D width, d narrow width, 2 down and
across.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.fusion.across import Across
from orchestrator.fusion.budget import share_budget
from orchestrator.fusion.module import Fusion
from orchestrator.fusion.pooling import merge
from orchestrator.fusion.shape import FusionShape
from orchestrator.fusion.weighing import weigh
from tests.bench.fusion.layers import WIDTH, centres
from tests.bench.fusion.model import Tokens
from tests.bench.fusion.world import CELLS, GRID, Ints

if TYPE_CHECKING:
    from tests.bench.fusion.methods import See

BUDGET: Final = 2 * CELLS
"""Tokens of two whole pictures."""
NARROW: Final = 32
OWN: Final = (GRID, GRID)


def fusion_shape(**parts: bool) -> FusionShape:
    """The fusion of this study, less the parts that are switched off."""
    return FusionShape(width=WIDTH, budget=BUDGET, narrow=NARROW, grid=GRID, **parts)


class Fusing(nn.Module):
    """Fusion under the budget."""

    def __init__(self, shape: FusionShape, seed: int) -> None:
        super().__init__()
        self.fusion = Fusion(shape, seed)

    def forward(self, see: "See", words_STD: Tensor) -> Tokens:
        return self.fuse(see.whole(), words_STD.detach(), see.marks_SN)[0]

    def fuse(
        self, features_SNnD: Tensor, words_STD: Tensor, marks_SN: Tensor
    ) -> tuple[Tokens, Tensor]:
        """Tokens, and the weights of the pictures, ``[S, N]``."""
        across = self.fusion.across
        assert across is not None, "mean pooling is a method of its own"
        latents_SNmd = _mix(across, features_SNnD, words_STD)
        score_SNn = across.score(features_SNnD, latents_SNmd, OWN)
        weights_SN = weigh(score_SNn.unbind(1))
        grids_SN2 = _grids(weights_SN, self.fusion.shape)
        tokens = _Padded(marks_SN, grids_SN2)
        amount_SN = weights_SN * weights_SN.shape[1]
        for grid in np.unique(grids_SN2.reshape(-1, 2), axis=0).tolist():
            to_grid = (int(grid[0]), int(grid[1]))
            of_grid = np.nonzero((grids_SN2 == grid).all(-1))
            base_RbD = merge(features_SNnD[of_grid], score_SNn[of_grid], OWN, to_grid)
            add = partial(across.add, grid=to_grid)
            fused_RbD = add(base_RbD, latents_SNmd[of_grid], amount_SN[of_grid])
            tokens.put(fused_RbD, *of_grid, to_grid)
        return tokens.joined(), weights_SN


def _mix(across: Across, features_SNnD: Tensor, words_STD: Tensor) -> Tensor:
    """Latents after they have looked around."""
    latents_SNmd = across.look(features_SNnD, OWN)
    nothing = across.nothing_seen(len(features_SNnD))
    mixed_SNmd, *_ = across.mix(latents_SNmd, words_STD, *nothing)
    return mixed_SNmd


def _grids(weights_SN: Tensor, shape: FusionShape) -> Ints:
    own_N2 = np.full((weights_SN.shape[1], 2), GRID)
    return np.stack(
        [
            share_budget(own_N2, weights_N, budget=shape.budget, floor=shape.floor)
            for weights_N in weights_SN.detach().numpy()
        ]
    )


class _Padded:
    """Tokens of a batch, written picture by picture into rows of equal length."""

    def __init__(self, marks_SN: Tensor, grids_SN2: Ints) -> None:
        sizes_SN = grids_SN2.prod(-1)
        self._ends_SN = sizes_SN.cumsum(1)
        self._starts_SN = self._ends_SN - sizes_SN
        self._length = int(self._ends_SN.max())
        self._samples = len(sizes_SN)
        self._marks_SL = torch.zeros(self._samples, self._length, dtype=torch.int64)
        self._places_SL2 = torch.zeros(self._samples, self._length, 2)
        self._marks_SN = marks_SN
        self._parts: list[Tensor] = []
        self._where: list[Tensor] = []

    def put(
        self, parts_RbD: Tensor, rows_R: Ints, images_R: Ints, grid: tuple[int, int]
    ) -> None:
        """Write the tokens of some pictures that have one grid."""
        rows_R1 = torch.from_numpy(rows_R)[:, None]
        starts_R1 = torch.from_numpy(self._starts_SN[rows_R, images_R])[:, None]
        columns_Rb = starts_R1 + torch.arange(parts_RbD.shape[1])
        self._marks_SL[rows_R1, columns_Rb] = self._marks_SN[rows_R, images_R][:, None]
        self._places_SL2[rows_R1, columns_Rb] = centres(*grid)
        self._parts.append(parts_RbD.flatten(0, 1))
        self._where.append((rows_R1 * self._length + columns_Rb).flatten())

    def joined(self) -> Tokens:
        """All that was written."""
        parts_XD, where_X = torch.cat(self._parts), torch.cat(self._where)
        flat = parts_XD.new_zeros(self._samples * self._length, parts_XD.shape[1])
        features_SLD = flat.index_copy(0, where_X, parts_XD).unflatten(0, (self._samples, -1))
        is_there_SL = torch.arange(self._length) < torch.from_numpy(self._ends_SN[:, -1:])
        return Tokens(
            features_SLD,
            self._places_SL2,
            self._marks_SL,
            None if bool(is_there_SL.all()) else is_there_SL,
        )
