"""Ways to bring a group of pictures before the language model.

Two show all there is (or much less than the budget): for reference. All others have the same
budget of tokens for a sample's pictures together, the same frozen encoder and the same model.

Letters: S samples, N pictures of a sample, n tokens of a picture, b that it keeps, L tokens of
a sample, D width; 2 down and across.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.fusion.budget import share_budget
from orchestrator.fusion.pooling import merge
from tests.bench.fusion.encoder import Encoder, shrink
from tests.bench.fusion.fusing import BUDGET, Fusing, fusion_shape
from tests.bench.fusion.layers import PLACE, WIDTH, Attention, centres, perceptron, waves
from tests.bench.fusion.model import Tokens
from tests.bench.fusion.world import CELLS, GRID

Grid = tuple[int, int]


class Pictures:
    """A batch's pictures: drawn when somebody asks for them, and encoded once for all methods.

    Features are kept, and pixels are not: those take three times the memory, and one method
    alone asks for them again.
    """

    def __init__(self, draw: Callable[[], Tensor]) -> None:
        """``draw`` gives the same pixels, ``[S, N, 3, H, W]``, at every call."""
        self.pixels = draw
        self._encoded: tuple[Encoder, Tensor] | None = None

    @torch.no_grad()
    def encoded(self, encoder: Encoder) -> Tensor:
        """Features of the pictures as they are, ``[S, N, n, D]``."""
        if self._encoded is None or self._encoded[0] is not encoder:
            pixels_SN3HW = self.pixels()
            features_XnD = encoder(pixels_SN3HW.flatten(0, 1))
            self._encoded = encoder, features_XnD.unflatten(0, pixels_SN3HW.shape[:2])
        return self._encoded[1]


class See:
    """A batch's pictures, encoded as a method asks for it."""

    def __init__(self, encoder: Encoder, pictures: Pictures, marks_SN: Tensor) -> None:
        self._encoder, self._pictures = encoder, pictures
        self.marks_SN = marks_SN

    @property
    def images(self) -> int:
        """N."""
        return self.marks_SN.shape[1]

    def whole(self) -> Tensor:
        """Features of pictures as they are, ``[S, N, n, D]``."""
        return self._pictures.encoded(self._encoder)

    @torch.no_grad()
    def shrunken(self, grids: list[Grid]) -> list[Tensor]:
        """Features of each of a sample's pictures, shrunken to a grid: ``[S, b, D]``."""
        pixels_SN3HW = self._pictures.pixels()
        pairs = zip(pixels_SN3HW.unbind(1), grids, strict=True)
        return [self._encoder(shrink(pixels_S3HW, grid)) for pixels_S3HW, grid in pairs]


def equal_grids(images: int) -> list[Grid]:
    """What each picture keeps where all count alike: fusion's own rule."""
    own_N2 = np.full((images, 2), GRID)
    grids_N2 = share_budget(own_N2, np.ones(images), budget=BUDGET, floor=1)
    return [(down, across) for down, across in grids_N2.tolist()]


def join(parts: list[Tensor], places: list[Tensor], marks_SN: Tensor) -> Tokens:
    """Tokens of a sample's pictures one after the other.

    Args:
        parts: Of each picture, ``[S, b, D]``.
        places: Of each picture, ``[b, 2]``, or ``[S, b, 2]``.
        marks_SN: Their numbers.
    """
    samples = len(marks_SN)
    sizes = torch.tensor([part.shape[1] for part in parts])
    return Tokens(
        features_SLD=torch.cat(parts, 1),
        places_SL2=torch.cat([place.expand(samples, -1, -1) for place in places], 1),
        marks_SL=marks_SN[:, : len(parts)].repeat_interleave(sizes, 1),
    )


class Full(nn.Module):
    """All tokens of all pictures, or of the first few alone."""

    def __init__(self, images: int | None = None) -> None:
        super().__init__()
        self._images = images

    def forward(self, see: See, _: Tensor) -> Tokens:
        parts = list(see.whole().unbind(1))[: self._images]
        return join(parts, [centres(GRID, GRID)] * len(parts), see.marks_SN)


class TextOnly(nn.Module):
    """No picture at all."""

    def forward(self, see: See, words_STD: Tensor) -> Tokens:
        samples, _, width = words_STD.shape
        nothing = words_STD.new_empty(samples, 0, width)
        return Tokens(nothing, nothing[..., :2], see.marks_SN[:, :0])


class Downsample(nn.Module):
    """Smaller pictures, so that the encoder makes fewer tokens of them."""

    def forward(self, see: See, _: Tensor) -> Tokens:
        grids = equal_grids(see.images)
        return join(see.shrunken(grids), [centres(*grid) for grid in grids], see.marks_SN)


class MeanPool(nn.Module):
    """Features averaged over areas: what fusion starts from, without any parameter."""

    def forward(self, see: See, _: Tensor) -> Tokens:
        grids = equal_grids(see.images)
        whole = see.whole().unbind(1)
        pairs = zip(whole, grids, strict=True)
        alike_Sn = torch.zeros(len(see.marks_SN), CELLS)
        parts = [merge(one_SnD, alike_Sn, (GRID, GRID), grid) for one_SnD, grid in pairs]
        return join(parts, [centres(*grid) for grid in grids], see.marks_SN)


class RandomPrune(nn.Module):
    """Any of a picture's tokens, as they are."""

    def forward(self, see: See, _: Tensor) -> Tokens:
        parts, places = [], []
        for one_SnD, (down, across) in zip(
            see.whole().unbind(1), equal_grids(see.images), strict=True
        ):
            # In their order, as the language model learned to read them.
            kept_Sb = (
                torch.rand(one_SnD.shape[:2]).argsort(1)[:, : down * across].sort(1).values
            )
            parts.append(one_SnD.gather(1, kept_Sb[..., None].expand(-1, -1, WIDTH)))
            places.append(centres(GRID, GRID)[kept_Sb])
        return join(parts, places, see.marks_SN)


class Resample(nn.Module):
    """Learned queries look at each picture by itself: one for each place of its grid."""

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.query = nn.Linear(PLACE, WIDTH)
        self.place = nn.Linear(PLACE, WIDTH)
        self.looks = nn.ModuleList(Attention() for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(layers))
        self.perceptrons = nn.ModuleList(perceptron(2 * WIDTH) for _ in range(layers))

    def forward(self, see: See, _: Tensor) -> Tokens:
        grids = equal_grids(see.images)
        whole = see.whole()
        if sum(down * across for down, across in grids) == see.images * CELLS:
            parts = list(whole.unbind(1))
        else:
            pairs = zip(whole.unbind(1), grids, strict=True)
            parts = [self._resample(one_SnD, grid) for one_SnD, grid in pairs]
        return join(parts, [centres(*grid) for grid in grids], see.marks_SN)

    def _resample(self, one_SnD: Tensor, grid: Grid) -> Tensor:
        keys_SnD = one_SnD + self.place(waves(centres(GRID, GRID)))
        x_SbD = self.query(waves(centres(*grid))).expand(len(one_SnD), -1, -1)
        for look, norm, think in zip(self.looks, self.norms, self.perceptrons, strict=True):
            x_SbD = x_SbD + look(norm(x_SbD), keys_SnD)
            x_SbD = x_SbD + think(x_SbD)
        return x_SbD


METHODS: Final[dict[str, Callable[[int], nn.Module]]] = {
    "full": lambda _: Full(),
    "fusion": lambda seed: Fusing(fusion_shape(), seed),
    "downsample": lambda _: Downsample(),
    "random": lambda _: RandomPrune(),
    "mean": lambda _: MeanPool(),
    "resampler": lambda _: Resample(),
    "first": lambda _: Full(images=1),
    "text": lambda _: TextOnly(),
    "no spatial": lambda seed: Fusing(fusion_shape(spatial=False, positions=False), seed),
    "no text": lambda seed: Fusing(fusion_shape(text=False), seed),
    "no weights": lambda seed: Fusing(fusion_shape(weights=False), seed),
}
BASELINES: Final = ("downsample", "random", "mean", "resampler")
PARTS: Final = {
    "no spatial": ("difference",),
    "no text": ("count",),
    "no weights": ("needle", "order"),
}
"""Fusion less one part, and what the part is for."""
