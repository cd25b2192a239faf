"""Pictures, as one kind of media: counted by their header, decoded at the size asked for.

Letters: H, W pixels; C channels.
"""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.media import jpeg, pillow
from orchestrator.data.media.faults import refuse_giant
from orchestrator.data.media.header import Header, read_header
from orchestrator.data.media.medium import ImageSize, Probed, Targets
from orchestrator.data.media.orientation import PILLOW_TURNS, as_stored, turned
from orchestrator.data.media.pixels import to_8_bit
from orchestrator.data.media.resize import image_of, pixels_of, resized
from orchestrator.data.places.content import Content
from orchestrator.data.places.disk import disk_faults
from orchestrator.data.places.wording import shown


@dataclass(frozen=True, slots=True)
class ImageMedium:
    """Still pictures; of one that moves or has pages, the first."""

    max_source_pixels: int
    """Area that a header may claim; a larger picture is not decoded."""

    background: str
    """Colour behind transparent pictures, as #rrggbb."""

    exact_pixels: bool = False
    """Decode at full size and resize as the stock PIL processors do, to the bit."""

    def probe(self, content: Content, /) -> Probed:
        """See ``Medium``. Size as shown, and a word on frames that are not used."""
        with (
            disk_faults(content.location.url, shown("image", content.name)),
            content.open() as file,
        ):
            header = self._header(file, content.name)
        if header is not None and header.orientation is not None:
            return _probed((header.height, header.width), header.orientation)
        with self._opened(content.path or content.read(), content.name) as image:
            orientation = pillow.orientation_of(image)
            return _probed((image.height, image.width), orientation, pillow.frames_of(image))

    def cost(self, probed: Probed, coder: ImageCoder, /) -> Targets:
        """See ``Medium``."""
        return tuple(coder.target_size(size.height, size.width) for size in probed.pictures)

    def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
        """See ``Medium``."""
        (target_hw,) = targets
        # What is elsewhere is fetched in one go, whatever it turns out to be.
        source = content.path or content.read()
        with _file(source, content.name) as file:
            header = self._header(file, content.name)
        decoded = self._decoded(source, content.name, header, target_hw)
        pixels_HWC = (_fitted_exactly if self.exact_pixels else _fitted)(decoded, target_hw)
        # A view: putting it in reading order would take longer than resizing did.
        return [np.broadcast_to(pixels_HWC, (*target_hw, 3))]

    def _decoded(
        self,
        source: pillow.Source,
        name: str,
        header: Header | None,
        target_hw: tuple[int, int],
    ) -> "_Decoded":
        orientation = header.orientation if header is not None else None
        if orientation is None:
            with self._opened(source, name) as image:
                orientation = pillow.orientation_of(image)
        if header is not None and header.kind == "JPEG":
            with _file(source, name) as file:
                data = file.read()
            wanted_hw = None if self.exact_pixels else as_stored(target_hw, orientation)
            scaled = jpeg.decode(data, header, name, wanted_hw)
            if scaled is not None:
                return _Decoded(image_of(scaled.pixels_HWC), orientation, scaled.seen_hw)
        with self._opened(source, name) as image:
            image.load()
            whole = to_8_bit(image, self.background)
        return _Decoded(whole, orientation, (whole.height, whole.width))

    def _header(self, file: BinaryIO, name: str) -> Header | None:
        header = read_header(file)
        if header is not None:
            # Before Pillow sees it, which makes room for all of a WebP as it opens it.
            refuse_giant(name, header.width, header.height, self.max_source_pixels)
        return header

    def _opened(self, source: pillow.Source, name: str) -> AbstractContextManager[Image.Image]:
        return pillow.opened(source, name, self.max_source_pixels)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A picture as stored, perhaps smaller than in its file."""

    image: Image.Image
    """Grey, RGB, or from ``image_of``."""

    orientation: int

    seen_hw: tuple[float, float]
    """Height and width that hold the picture; a scaled one may end within its last pixels."""


def _fitted(decoded: _Decoded, target_hw: tuple[int, int]) -> Pixels:
    """Resize, then turn: there is less to turn."""
    wanted_hw = as_stored(target_hw, decoded.orientation)
    small = resized(decoded.image, wanted_hw, decoded.seen_hw)
    return turned(pixels_of(small), decoded.orientation)


def _fitted_exactly(decoded: _Decoded, target_hw: tuple[int, int]) -> Pixels:
    """Turn, then resize: the stock processors are handed an upright picture."""
    # The other way about, Pillow would round between columns and rows in another order.
    turn = PILLOW_TURNS.get(decoded.orientation)
    upright = decoded.image if turn is None else decoded.image.transpose(turn)
    return pixels_of(upright.resize(target_hw[::-1], Image.Resampling.BICUBIC))


def _probed(stored_hw: tuple[int, int], orientation: int, frames: int = 1) -> Probed:
    height, width = as_stored(stored_hw, orientation)
    notes = (f"{frames} frames, the first is used",) if frames > 1 else ()
    return Probed((ImageSize(width=width, height=height),), notes)


@contextmanager
def _file(source: pillow.Source, name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    with disk_faults(str(source), shown("image", name)), source.open("rb") as file:
        yield file
