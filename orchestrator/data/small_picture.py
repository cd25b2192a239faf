"""A picture made small, the right way up, for looking at and for comparing.

Letters: H, W pixels; C channels.
"""

from PIL import Image

from orchestrator.config.images import ImageBudget
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.places.content import Content

MAX_SOURCE_PIXELS = ImageBudget().max_source_pixels
"""Area that a header may claim, where no job says otherwise."""


def reader_of(max_source_pixels: int = MAX_SOURCE_PIXELS) -> ImageMedium:
    """What reads pictures where no job says how: transparent ones lie over white."""
    return ImageMedium(max_source_pixels=max_source_pixels, background="#ffffff")


def small_picture(
    content: Content, longest: int, max_source_pixels: int = MAX_SOURCE_PIXELS
) -> Image.Image:
    """Decode a picture no larger than asked for, in RGB.

    Args:
        content: The picture; of one that moves or has pages, the first is taken.
        longest: The longer side, in pixels. A smaller picture keeps its size.
        max_source_pixels: A header that claims a larger area is refused.

    Raises:
        BadSampleError: It is no picture of a kind we read, too large, or broken.
        StorageError: The store did not answer.
    """
    medium = reader_of(max_source_pixels)
    (size,) = medium.probe(content).pictures
    shrink = min(1.0, longest / max(size.height, size.width))
    target_hw = round(size.height * shrink) or 1, round(size.width * shrink) or 1
    (pixels_HWC,) = medium.load(content, (target_hw,))
    return Image.fromarray(pixels_HWC)
