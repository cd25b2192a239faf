"""What a person reads of a picture that cannot be used."""

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.places.wording import brief, shown

# Named, so that no file reaches Pillow's rarer parsers (EPS would start Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def broken(name: str, complaint: Exception) -> BadSampleError:
    """A decoder complains about it."""
    return BadSampleError(
        f"{shown('image', name)} cannot be decoded ({brief(str(complaint))})",
        "Write the file again",
    )


def unknown(name: str) -> BadSampleError:
    """No decoder of ours knows what it is."""
    return BadSampleError(
        f"{shown('image', name)} is no picture of a kind we read",
        f"Write it as one of {', '.join(FORMATS)}",
    )


def refuse_giant(name: str, width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture by its header.

    Raises:
        BadSampleError: It claims more than ``max_pixels``.
    """
    if width * height > max_pixels:
        raise BadSampleError(
            f"{shown('image', name)} has {width} x {height} pixels, more than {max_pixels}",
            "Write it smaller, or raise images.max_source_pixels",
        )
