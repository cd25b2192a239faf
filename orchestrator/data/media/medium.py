"""The seam for kinds of media: what index and renderer ask of images, videos and others.

Letters: H, W pixels.
"""

from dataclasses import dataclass
from typing import Protocol

from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.places.content import Content

Targets = tuple[tuple[int, int], ...]
"""Height and width that each picture is resized to, in pixels."""


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Size in pixels as a viewer shows it, its EXIF orientation applied."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Probed:
    """What a header tells of one medium."""

    pictures: tuple[ImageSize, ...]
    """What the model will see of it, in order: one for an image, one a frame for a video."""

    notes: tuple[str, ...] = ()
    """What a person should hear once: "12 frames, the first is used"."""


class Medium(Protocol):
    """One kind of media.

    Must be a pure function of its arguments, small when pickled (it travels to every renderer),
    and its ``repr`` names every setting that its results depend on.
    """

    def probe(self, content: Content, /) -> Probed:
        """Read sizes from the header; nothing is decoded, and no name trusted.

        Raises:
            BadSampleError: It is nothing of this kind, or larger than allowed.
            StorageError: The store did not answer.
        """
        ...

    def cost(self, probed: Probed, coder: ImageCoder, /) -> Targets:
        """Say what size each picture is resized to, from which tokens and patches follow.

        Raises:
            ValueError: A shape is of no use to the model.
        """
        ...

    def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
        """Decode the pictures, each uint8 [H, W, 3] at its target size.

        The same content and targets give the same bytes every time.

        Raises:
            BadSampleError: It cannot be decoded to the end.
            StorageError: The store did not answer.
        """
        ...
