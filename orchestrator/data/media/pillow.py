"""Pictures through Pillow: every format that we read, and what goes wrong by its proper name.

A picture's *content* makes a bad sample. A disk that does not answer does not: an ``OSError``
that carries an ``errno`` came from the system, Pillow's own complaints carry none.
"""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from orchestrator.data.media.faults import FORMATS, broken, refuse_giant, unknown
from orchestrator.data.media.orientation import UPRIGHT, checked
from orchestrator.data.places.disk import disk_faults
from orchestrator.data.places.wording import shown

Source = Path | bytes

_ORIENTATION = 0x0112

# Pillow raises all of these for bytes that are not what the header promises.
_BROKEN = (
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)

# Pillow's limit on pixels and Python's list of filters for warnings are the whole process's.
_ALONE = threading.RLock()


@contextmanager
def opened(source: Source, name: str, max_pixels: int) -> Iterator[Image.Image]:
    """Open a picture, and give what goes wrong with it while open its proper name.

    Pillow's warnings (of doubtful EXIF, mostly) are of no use to whoever trains, and its own
    limit on pixels gives way to ours.

    Args:
        source: The picture; bytes where it is no local file of its own, as libtiff reads
            through the descriptor of an open file, whatever part of it was meant.
        name: What to call it.
        max_pixels: A header that claims a larger area is refused.

    Raises:
        BadSampleError: It is no picture of a kind we read, too large, or broken.
        StorageError: The disk did not answer.
    """
    place = str(source) if isinstance(source, Path) else name
    file = source if isinstance(source, Path) else io.BytesIO(source)
    with (
        disk_faults(place, shown("image", name)),
        _content_faults(name),
        _undisturbed(),
        Image.open(file, formats=FORMATS) as image,
    ):
        refuse_giant(name, image.width, image.height, max_pixels)
        yield image


@contextmanager
def _content_faults(name: str) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError as error:
        raise unknown(name) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise broken(name, error) from error
    except _BROKEN as error:
        raise broken(name, error) from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    with _ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of an opened picture, 1 to 8, from the header alone."""
    # Pillow turns a TIFF by itself as it loads, and gives its size as shown.
    if image.format == "TIFF":
        return UPRIGHT
    try:
        # Not the PNG's own method: it decodes all pixels to look for EXIF behind them.
        return checked(Image.Image.getexif(image).get(_ORIENTATION))
    except _BROKEN:
        # Viewers show a picture with garbled EXIF as it is stored.
        return UPRIGHT


def frames_of(image: Image.Image) -> int:
    """How many frames or pages a picture has, of which the first is used."""
    # A phone's second picture is the same again: its depth, or its other lens.
    return 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
