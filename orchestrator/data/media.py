"""Pictures: where they are, how large they are, and their pixels at the size asked for.

A picture's *content* makes a bad sample. A store that does not answer does not: an ``OSError``
that carries an ``errno`` came from the system, Pillow's own complaints carry none.

Letters: H, W pixels; C channels.
"""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.errors import StorageError

MAX_PIXELS = 200_000_000
"""Area a file may claim, before anything is decoded: 600 MB as RGB."""

# Pillow's own limit is process-wide and warns at half of what it refuses; ours decides.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

# Named, so that no file reaches Pillow's rarer parsers (EPS would start Ghostscript).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_ORIENTATION = 0x0112

# Pillow raises all of these for bytes that are not what the header promises.
_BROKEN = (
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

# At indexing a person can mend these; the rest (timeouts, I/O errors) is the store's.
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Size in pixels as a viewer shows it, its EXIF orientation applied."""

    width: int
    height: int


def resolve(uri: str, media_dir: Path) -> Path:
    """Find the file that a sample names.

    Args:
        uri: Path relative to ``media_dir``, or absolute inside it.
        media_dir: What no path may leave, by ``..``, from the root or through a link.

    Returns:
        The file, links resolved.

    Raises:
        BadSampleError: It is a URL, leaves ``media_dir``, is missing, no file or empty.
    """
    if "://" in uri or uri.startswith("data:"):
        raise BadSampleError(
            f"image {_brief(uri)} is a URL", "Fetch it into media_dir and write its path"
        )
    path = find(uri, media_dir)
    status = _stat(path, uri)
    if not path.is_file():
        raise BadSampleError(f"image {_brief(uri)} is no file", "Give the path of a picture")
    if status.st_size == 0:
        raise BadSampleError(f"image {_brief(uri)} is empty (0 bytes)", "Write the file again")
    if not os.access(path, os.R_OK):
        raise BadSampleError(
            f"image {_brief(uri)} may not be read", "Give this user permission to read it"
        )
    return path


def find(uri: str, media_dir: Path) -> Path:
    """Give the path that ``uri`` means, links resolved, whether or not anything is there.

    Raises:
        BadSampleError: It leaves ``media_dir``, or is no path at all.
    """
    root = media_dir.resolve()
    try:
        path = (root / uri).resolve()
    except (ValueError, OSError, RuntimeError) as error:
        raise BadSampleError(f"image {_brief(uri)} is no path", "Correct the path") from error
    if not path.is_relative_to(root):
        raise BadSampleError(
            f"image {_brief(uri)} leads out of media_dir to {path}",
            f"Move it into {media_dir}, or name a wider media_dir",
        )
    return path


def media_key(uri: str, path: Path) -> str:
    """Say which state of which file was measured: path, bytes and time of last change."""
    status = path.stat()
    return f"{uri}:{status.st_size}:{status.st_mtime_ns}"


def probe(path: Path) -> ImageSize:
    """Read a picture's size from its header; nothing is decoded, and no name trusted.

    Raises:
        BadSampleError: It is no picture of a kind we read, or larger than ``MAX_PIXELS``.
        StorageError: The store did not answer.
    """
    with _opened(path) as image:
        width, height = image.size
        return (
            ImageSize(height, width) if _orientation(image) >= 5 else ImageSize(width, height)
        )


def load(path: Path, target_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode a picture at the size asked for.

    A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 that is no smaller than the
    target, then resized like any other, bicubic. Transparency lies over white; 16-bit grey is
    scaled by its range. The same file gives the same bytes every time.

    Args:
        path: The picture.
        target_hw: Height and width, in pixels, as seen with its EXIF orientation applied.

    Returns:
        pixels_HWC, uint8, RGB.

    Raises:
        BadSampleError: It cannot be decoded to the end.
        StorageError: The store did not answer.
    """
    height, width = target_hw
    with _opened(path) as image:
        turn = _TURNS.get(_orientation(image))
        # Before turning: fewer pixels to turn, and draft sizes are the file's own.
        size = (height, width) if turn in _SWAPPING else (width, height)
        image.draft(None, size)
        image.load()
    small = _to_8_bit(image).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    turned = small if turn is None else small.transpose(turn)
    return np.asarray(turned)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPING = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture, and give what goes wrong with it while open its proper name."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _refuse_giant(image)
            yield image
    except UnidentifiedImageError as error:
        raise BadSampleError(
            f"image {path.name} is no picture of a kind we read",
            f"Write it as one of {', '.join(_FORMATS)}",
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise StorageError(
                f"cannot be read ({error.strerror})", str(path), "Check the store and run again"
            ) from error
        raise _broken(path, error) from error
    except _BROKEN as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> BadSampleError:
    return BadSampleError(
        f"image {path.name} cannot be decoded ({_brief(str(error))})", "Write the file again"
    )


def _refuse_giant(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise BadSampleError(
            f"image of {image.width} x {image.height} pixels, at most {MAX_PIXELS} in all",
            "Write it smaller",
        )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, from the header alone."""
    # Pillow turns a TIFF by itself, and would decode a PNG to look for EXIF behind the pixels.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in _TURNS else 1


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Bring any mode to L or RGB before resizing, or hidden colours bleed into the edges."""
    if image.mode.startswith("I;16"):
        return _scaled(image, 0.0, 65535.0)
    if image.mode in ("I", "F"):
        # 32-bit files say nothing about their range: it is that of their values.
        low, high = image.getextrema()
        return _scaled(image, float(low), float(high))  # type: ignore[arg-type]
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return _over_white(image.convert("RGBA"))
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _scaled(image: Image.Image, low: float, high: float) -> Image.Image:
    values_HW = np.asarray(image, dtype=np.float64)
    scaled_HW = (values_HW - low) * (255.0 / ((high - low) or 1.0))
    return Image.fromarray(np.rint(scaled_HW).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _stat(path: Path, uri: str) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        if error.errno not in _MISSING:
            raise StorageError(
                f"does not answer ({error.strerror})",
                str(path),
                "Check the store and run again",
            ) from error
        raise BadSampleError(
            f"image {_brief(uri)} not found", "Put the file there, or correct the path"
        ) from error


def _brief(text: str) -> str:
    return repr(text) if len(text) <= 200 else repr(f"{text[:197]}...")
