"""What this layer asks of a model family: how a picture becomes patches and tokens.

Letters: H, W pixels; P patches; D bytes of a patch.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class ImageCoder(Protocol):
    """The arithmetic of one family's pictures.

    Must be a pure function of its arguments, small when pickled (it travels to every renderer),
    and must not import torch. Its ``repr`` names every setting: two coders with equal ``repr``
    give equal patches.
    """

    def target_size(self, height: int, width: int, /) -> tuple[int, int]:
        """Height and width to resize to, in pixels; ValueError for a shape of no use."""
        ...

    def num_tokens(self, h: int, w: int, /) -> int:
        """Slots in the language model for a picture of target size ``h`` x ``w``."""
        ...

    def grid(self, h: int, w: int, /) -> tuple[int, int, int]:
        """Patches in time, down and across at target size ``h`` x ``w``."""
        ...

    def num_patches(self, h: int, w: int, /) -> int:
        """Rows that ``patches`` gives at target size ``h`` x ``w``."""
        ...

    def patches(self, pixels_HWC: Pixels, /) -> Pixels:
        """Pixels at target size, uint8 [H, W, 3], to patches_PD, uint8."""
        ...
