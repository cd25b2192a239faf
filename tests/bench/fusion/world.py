"""The world that all tasks take place in: pictures of small print on tinted paper.

A picture has 4 x 4 cells of 8 x 8 pixels, a cell at most one letter of 5 x 5 pixels, somewhere
in the cell. Colours and tints are coarse and outlive any resizing; letters are as fine as
pixels go, which is why a picture's tokens matter.

Letters: S samples, N pictures of a sample, C cells of a picture, H and W pixels down and
across.
"""

from dataclasses import dataclass, fields
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
_INK_K3: Final = np.array(
    [[1, 0.2, 0.2], [0.2, 1, 0.2], [0.3, 0.4, 1], [1, 1, 0.2]], np.float32
)
_PLACES: Final = CELL - 5 + 1
"""Pixels of a cell that a letter can start at, down and across."""
NUM_SHIFTS: Final = _PLACES**2


@dataclass(frozen=True)
class Scenes:
    """What stands where in the pictures of a batch."""

    letters_SNC: Ints
    colours_SNC: Ints
    shifts_SNC: Ints
    """Where in its cell a letter starts: one number for both ways."""
    tints_SN: Ints

    def pick(self, *where: object) -> "Scenes":
        """The pictures at an index into ``[S, N]``."""
        return Scenes(*(getattr(self, field.name)[where] for field in fields(self)))

    def repeat(self, images: int) -> "Scenes":
        """Each picture so many times."""
        return Scenes(*(getattr(self, one.name).repeat(images, 1) for one in fields(self)))


def _printed() -> Floats:
    """Every letter at every shift in a cell: letter, shift, pixels down and across."""
    ink = np.zeros((NUM_LETTERS + 1, _PLACES, _PLACES, CELL, CELL), np.float32)
    for letter, rows in enumerate(_FONT.values()):
        drawn = np.array([[dot == "#" for dot in row] for row in rows.split()])
        for down in range(_PLACES):
            for across in range(_PLACES):
                ink[letter, down, across, down : down + 5, across : across + 5] = drawn
    return ink.reshape(NUM_LETTERS + 1, NUM_SHIFTS, CELL, CELL)


_PRINTED: Final = _printed()
_PAPER_K3: Final = np.array(
    [[0.3 * (tint >> bit & 1) for bit in range(3)] for tint in range(NUM_TINTS)], np.float32
)


def draw(rng: np.random.Generator, scenes: Scenes) -> Floats:
    """Print scenes, and put noise on every pixel.

    Returns:
        Pictures, ``[S, N, 3, H, W]``, ink about 1.
    """
    samples, images, _ = scenes.letters_SNC.shape
    ink = _PRINTED[scenes.letters_SNC, scenes.shifts_SNC]
    ink = ink.reshape(samples, images, 1, GRID, GRID, CELL, CELL)
    paper = _PAPER_K3[scenes.tints_SN][..., None, None, None, None]
    colour = np.moveaxis(_INK_K3[scenes.colours_SNC], -1, 2)
    colour = colour.reshape(samples, images, 3, GRID, GRID, 1, 1)
    cells = paper + ink * (colour - paper)
    pixels = cells.swapaxes(4, 5).reshape(samples, images, 3, SIDE, SIDE)
    noise: Floats = rng.standard_normal(pixels.shape, np.float32)
    pixels += NOISE * noise
    return pixels
