"""Pictures as the Qwen 2, 2.5 and 3 vision-language families see them. Arithmetic: no torch.

Letters: H, W pixels; P patches of one picture; D bytes of a patch, channels first, one moment.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Triple = tuple[float, float, float]

MAX_ASPECT_RATIO = 200
"""A picture that is longer than this is refused by the stock processor too."""


@dataclass(frozen=True, kw_only=True)
class QwenImages:
    """How one model cuts a picture into patches, and how many tokens that gives.

    Args:
        patch: Side of a patch, in pixels.
        merge: Patches on one side of a token's square.
        temporal: Moments of a patch; the one moment of a picture is repeated to fill them.
        min_pixels: A smaller picture is enlarged to this area.
        max_pixels: A larger picture is reduced to this area.
        rescale: Factor from bytes to the range in which ``mean`` and ``std`` are given.
        mean: Per channel, subtracted.
        std: Per channel, divided by.
    """

    patch: int
    merge: int
    temporal: int
    min_pixels: int
    max_pixels: int
    rescale: float
    mean: Triple
    std: Triple

    @property
    def factor(self) -> int:
        """Side of the square of pixels behind one token: target sizes are multiples of it."""
        return self.patch * self.merge

    def target_size(self, height: int, width: int, /) -> tuple[int, int]:
        """Height and width to resize a picture to, in pixels.

        Raises:
            ValueError: The picture is empty, or more than 200 times as long as it is wide.

        Source: ``smart_resize`` in transformers 5.23, image_processing_pil_qwen2_vl.py.
        """
        longest, shortest = max(height, width), min(height, width)
        if shortest < 1 or longest / shortest > MAX_ASPECT_RATIO:
            raise ValueError(
                f"a picture of {width} x {height} pixels: neither side may be empty, nor "
                f"{MAX_ASPECT_RATIO} times the other"
            )
        h, w = (round(side / self.factor) * self.factor for side in (height, width))
        # Divided and multiplied just as the stock code does: a last bit moves a whole token.
        if h * w > self.max_pixels:
            beta = math.sqrt(height * width / self.max_pixels)
            h, w = (
                max(self.factor, math.floor(side / beta / self.factor) * self.factor)
                for side in (height, width)
            )
        elif h * w < self.min_pixels:
            beta = math.sqrt(self.min_pixels / (height * width))
            h, w = (
                math.ceil(side * beta / self.factor) * self.factor for side in (height, width)
            )
        return h, w

    def grid(self, h: int, w: int, /) -> tuple[int, int, int]:
        """Patches in time, down and across at target size ``h`` x ``w``."""
        assert h % self.factor == w % self.factor == 0, f"{h} x {w} is no target size"
        return 1, h // self.patch, w // self.patch

    def num_patches(self, h: int, w: int, /) -> int:
        """Rows that ``patches`` gives at target size ``h`` x ``w``."""
        return math.prod(self.grid(h, w))

    def num_tokens(self, h: int, w: int, /) -> int:
        """Slots in the language model for a picture of target size ``h`` x ``w``."""
        return self.num_patches(h, w) // self.merge**2

    def patches(self, pixels_HWC: Pixels, /) -> Pixels:
        """Cut pixels at target size, uint8 [H, W, 3], into patches_PD, uint8, in token order.

        Bytes travel, not floats: a patch of one moment in uint8 is an eighth of the stock
        ``pixel_values``, which ``normalise`` makes from it on the device.
        """
        H, W, num_channels = pixels_HWC.shape
        _, gh, gw = self.grid(H, W)
        m, p = self.merge, self.patch
        squares = pixels_HWC.reshape(gh // m, m, p, gw // m, m, p, num_channels)
        patches = squares.transpose(0, 3, 1, 4, 6, 2, 5)
        return np.ascontiguousarray(patches).reshape(gh * gw, num_channels * p * p)
