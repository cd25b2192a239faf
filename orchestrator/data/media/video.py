"""Videos, as one kind of media: to the model, a few of their frames in order, each an image."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.media.medium import ImageSize, Probed, Targets
from orchestrator.data.places.content import Content

_TRIES = 32


@dataclass(frozen=True, slots=True)
class VideoMedium:
    """Moving pictures; sound is left alone."""

    frames: int
    """Taken of one video; of a shorter one, all there are."""

    select: Literal["even", "key"]
    """Frames at the centres of equal parts of the duration, or evenly chosen key frames."""

    max_pixels: int
    """Area of one frame after resizing."""

    max_source_pixels: int
    """Area of a frame that a header may claim; a larger one is not decoded."""

    background: str = "#ffffff"
    """Colour behind transparent frames, as #rrggbb."""

    def probe(self, content: Content, /) -> Probed:
        """See ``Medium``. A picture for every frame that will be taken, sized as shown."""
        from orchestrator.data.media import footage  # noqa: PLC0415 - FFmpeg, not for pictures

        size, found = footage.measure(content, self.select, self.max_source_pixels)
        what = "key frames" if self.select == "key" else "frames"
        notes = (f"{found} {what}, {self.frames} wanted",) if found < self.frames else ()
        return Probed((size,) * min(self.frames, found), notes)

    def cost(self, probed: Probed, coder: ImageCoder, /) -> Targets:
        """See ``Medium``. Within ``max_pixels``, unless the coder has no size so small."""
        targets = {size: self._target(size, coder) for size in set(probed.pictures)}
        return tuple(targets[size] for size in probed.pictures)

    def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
        """See ``Medium``."""
        from orchestrator.data.media import footage  # noqa: PLC0415 - FFmpeg, not for pictures

        return footage.take(
            content, self.select, targets, self.max_source_pixels, self.background
        )

    def _target(self, size: ImageSize, coder: ImageCoder) -> tuple[int, int]:
        """A coder rounds to its grid, upwards too: then it gets less to round."""
        most = min(self.max_pixels, size.width * size.height)
        height, width = coder.target_size(*_fitted(size, most))
        for _ in range(_TRIES):
            if height * width <= self.max_pixels:
                break
            most = most * 15 // 16
            height, width = coder.target_size(*_fitted(size, most))
        return height, width


def _fitted(size: ImageSize, max_pixels: int) -> tuple[int, int]:
    """Height and width of the same shape, and of this area at most."""
    scale = min(1.0, sqrt(max_pixels / (size.width * size.height)))
    return max(1, int(size.height * scale)), max(1, int(size.width * scale))
