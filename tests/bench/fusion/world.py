"""The world that all tasks take place in: pictures of small print on tinted paper.

A picture has 4 x 4 cells of 8 x 8 pixels, a cell at most one letter of 5 x 5 pixels, somewhere
in the cell. Colours and tints are coarse and outlive any resizing; letters are as fine as
pixels go, which is why a picture's tokens matter.

Letters: S samples, N pictures of a sample, C cells of a picture, H and W pixels down and across.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

GRID: Final = 4
"""Cells down and across."""
CELLS: Final = GRID * GRID
"""C."""
CELL: Final = 8
"""Pixels of a cell, down and across; also an encoder's patch."""
SIDE: Final = GRID * CELL
NUM_LETTERS: Final = 8
EMPTY: Final = NUM_LETTERS
"""In the place of a letter: a cell without one."""
NUM_COLOURS: Final = 4
NUM_TINTS: Final = 8
NOISE: Final = 0.08
"""Standard deviation of a pixel, where ink is 1."""

_FONT: Final = {
    "A": ".###. #...# ##### #...# #...#",
    "E": "##### #.... ####. #.... #####",
    "H": "#...# #...# ##### #...# #...#",
    "K": "#..#. #.#.. ##... #.#.. #..#.",
    "N": "#...# ##..# #.#.# #..## #...#",
    "O": ".###. #...# #...# #...# .###.",
    "X": "#...# .#.#. ..#.. .#.#. #...#",
    "Z": "##### ...#. ..#.. .#... #####",
}
_INK_K3: Final = np.array([[1, 0.2, 0.2], [0.2, 1, 0.2], [0.3, 0.4, 1], [1, 1, 0.2]], np.float32)
_SLACK: Final = CELL - 5
"""A letter starts at pixel 0 to here of its cell, down and across."""


@dataclass(frozen=True)
class Scenes:
    """What stands where in the pictures of a batch."""

    letters_SNC: Ints
    colours_SNC: Ints
    tints_SN: Ints


def _printed() -> Floats:
    """Every letter at every place in a cell: letter, down, across, pixels down and across."""
    places = _SLACK + 1
    ink = np.zeros((NUM_LETTERS + 1, places, places, CELL, CELL), np.float32)
    for letter, rows in enumerate(_FONT.values()):
        drawn = np.array([[dot == "#" for dot in row] for row in rows.split()])
        for down in range(places):
            for across in range(places):
                ink[letter, down, across, down : down + 5, across : across + 5] = drawn
    return ink


_PRINTED: Final = _printed()
_PAPER_K3: Final = np.array(
    [[0.3 * (tint >> bit & 1) for bit in range(3)] for tint in range(NUM_TINTS)], np.float32
)


def draw(rng: np.random.Generator, scenes: Scenes) -> Floats:
    """Print scenes: each letter at a place of its own in its cell, and noise on every pixel.

    Returns:
        Pictures, ``[S, N, 3, H, W]``, ink about 1.
    """
    shape = scenes.letters_SNC.shape
    down, across = rng.integers(0, _SLACK + 1, (2, *shape))
    ink = _PRINTED[scenes.letters_SNC, down, across]
    samples, images, _ = shape
    ink = ink.reshape(samples, images, 1, GRID, GRID, CELL, CELL)
    paper = _PAPER_K3[scenes.tints_SN][..., None, None, None, None]
    colour = np.moveaxis(_INK_K3[scenes.colours_SNC], -1, 2)
    colour = colour.reshape(samples, images, 3, GRID, GRID, 1, 1)
    cells = paper + ink * (colour - paper)
    pixels = cells.swapaxes(4, 5).reshape(samples, images, 3, SIDE, SIDE)
    noise: Floats = rng.standard_normal(pixels.shape, np.float32)
    pixels += NOISE * noise
    return pixels
