"""The picture encoder: taught once to see, then frozen, and the same for every method.

As in the model that fusion is for, where the tower is frozen and its features carry no graph.
It learns to say what stands in each cell, for pictures of full size and for smaller ones, so
that shrinking the pictures is not held back by an encoder that never saw a small one.

Letters: I pictures, H and W pixels down and across, n tokens of a picture, C cells, D width.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.bench.fusion.layers import PLACE, WIDTH, Block, centres, waves
from tests.bench.fusion.tasks import clutter
from tests.bench.fusion.world import (
    CELL,
    CELLS,
    EMPTY,
    GRID,
    NUM_COLOURS,
    NUM_LETTERS,
    NUM_TINTS,
    Scenes,
    draw,
)

GRIDS: Final = ((4, 4), (3, 4), (3, 3), (2, 4), (2, 3), (2, 2), (1, 2), (1, 1))
"""Sizes of pictures that the encoder learns, in patches; every other step has the first."""
PIXELS: Final = 3 * CELL * CELL
HIDDEN: Final = 256
STEPS: Final = 1500
PICTURES: Final = 128
"""Of a step."""


class Encoder(nn.Module):
    """Patches to features, with one layer in which they see each other."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Sequential(
            nn.Linear(PIXELS, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH)
        )
        self.place = nn.Linear(PLACE, WIDTH)
        self.block = Block()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, pixels_I3HW: Tensor) -> Tensor:
        """Features, ``[I, n, D]``, row by row."""
        images, _, height, width = pixels_I3HW.shape
        grid = (height // CELL, width // CELL)
        cells = pixels_I3HW.view(images, 3, grid[0], CELL, grid[1], CELL)
        patches_InP = cells.permute(0, 2, 4, 1, 3, 5).reshape(images, -1, PIXELS)
        x_InD = self.patch(patches_InP) + self.place(waves(centres(*grid)))
        return self.norm(self.block(x_InD))


class Reader(nn.Module):
    """What teaches the encoder: says what stands in each cell, from the features there.

    Where a cell has a token of its own, what is in it can be read off in one linear step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Linear(WIDTH, NUM_LETTERS + 1 + NUM_COLOURS + NUM_TINTS)
        self.place = nn.Linear(PLACE, WIDTH)
        self.says = nn.Sequential(
            nn.Linear(WIDTH, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, NUM_LETTERS + 1 + NUM_COLOURS + NUM_TINTS),
        )

    def forward(self, features_InD: Tensor, grid: tuple[int, int]) -> Tensor:
        if grid == (GRID, GRID):
            return self.plain(features_InD)
        plane = features_InD.mT.unflatten(2, grid)
        there_ICD = functional.interpolate(plane, (GRID, GRID)).flatten(2).mT
        return self.says(there_ICD + self.place(waves(centres(GRID, GRID))))


def shrink(pixels_I3HW: Tensor, grid: tuple[int, int]) -> Tensor:
    """Pictures of so many patches, each pixel the mean of those that it covers."""
    if grid == (GRID, GRID):
        return pixels_I3HW
    return functional.interpolate(pixels_I3HW, (grid[0] * CELL, grid[1] * CELL), mode="area")


def teach(seed: int, steps: int = STEPS) -> Encoder:
    """Train an encoder."""
    torch.manual_seed(seed)
    encoder, reader = Encoder(), Reader()
    parameters = [*encoder.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(parameters, 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.1)
    for step in range(steps):
        rng = np.random.default_rng((seed, 0xE7C0DE, step))
        grid = GRIDS[0] if step % 2 else GRIDS[int(rng.integers(1, len(GRIDS)))]
        scenes = clutter(rng, 1, PICTURES)
        pixels = torch.from_numpy(draw(rng, scenes)).flatten(0, 1)
        loss = _loss(reader(encoder(shrink(pixels, grid)), grid), scenes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return encoder.eval()


def _loss(said_ICV: Tensor, scenes: Scenes) -> Tensor:
    letters, colours, tints = said_ICV.split((NUM_LETTERS + 1, NUM_COLOURS, NUM_TINTS), -1)
    letters_IC = torch.from_numpy(scenes.letters_SNC[0])
    colours_IC = torch.from_numpy(scenes.colours_SNC[0]).masked_fill(letters_IC == EMPTY, -1)
    tints_IC = torch.from_numpy(scenes.tints_SN[0])[:, None].expand(-1, CELLS)
    return (
        functional.cross_entropy(letters.transpose(1, 2), letters_IC)
        + functional.cross_entropy(colours.transpose(1, 2), colours_IC, ignore_index=-1)
        + functional.cross_entropy(tints.transpose(1, 2), tints_IC)
    )
