"""One picture that shows a whole group: small pictures in a grid, with numbers and names."""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.places.content import Content
from orchestrator.data.small_picture import small_picture

_MOST_WIDE = 2048
_LARGEST_TILE, _SMALLEST_TILE = 320, 64
_MARGIN, _LINE, _LETTER = 8, 20, 13
_PAPER, _INK, _FAULT = "#ffffff", "#202020", "#c02020"


@dataclass(frozen=True, slots=True)
class Broken:
    """A picture that cannot be shown."""

    place: int
    """Which of the group's, counted from 0."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """A group at one look."""

    jpeg: bytes
    broken: tuple[Broken, ...]
    """Pictures that are marked as broken on the sheet."""


def contact_sheet(title: str, pictures: Sequence[Content]) -> ContactSheet:
    """Draw a group, its pictures numbered from 1 in reading order.

    A broken picture is a crossed tile with the reason in it. The same pictures give the same
    bytes.

    Args:
        title: Stands above.
        pictures: At least one; each name is written under its picture.

    Raises:
        StorageError: The store did not answer.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    tile = min(_LARGEST_TILE, max(_SMALLEST_TILE, _MOST_WIDE // columns - _MARGIN))
    rows = math.ceil(len(pictures) / columns)
    width = max(columns, 2) * (tile + _MARGIN) + _MARGIN
    height = _MARGIN + _LINE + rows * (tile + _LINE + _MARGIN)
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_MARGIN, _MARGIN), title, width - 2 * _MARGIN)
    broken = []
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        x = _MARGIN + column * (tile + _MARGIN)
        y = _MARGIN + _LINE + row * (tile + _LINE + _MARGIN)
        try:
            small = small_picture(picture, tile)
            sheet.paste(small, (x + (tile - small.width) // 2, y + (tile - small.height) // 2))
        except BadSampleError as error:
            broken.append(Broken(place, error.reason, error.remedy))
            _cross(pen, (x, y), tile, error.reason)
        _write(pen, (x, y + tile + 2), f"{place + 1}  {picture.name}", tile)
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=85)
    return ContactSheet(file.getvalue(), tuple(broken))


def _cross(pen: ImageDraw.ImageDraw, corner: tuple[int, int], tile: int, reason: str) -> None:
    x, y = corner
    right, bottom = x + tile - 1, y + tile - 1
    pen.rectangle((x, y, right, bottom), outline=_FAULT, width=2)
    pen.line((x, y, right, bottom), fill=_FAULT)
    pen.line((x, bottom, right, y), fill=_FAULT)
    _write(pen, (x + 6, y + 4), reason, tile - 12, _FAULT)


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, ink: str = _INK
) -> None:
    """One line, its middle left out where it is too long."""
    font = _font()
    # A name may hold anything, line ends too.
    whole = "".join(letter if letter.isprintable() else "?" for letter in text)
    lengths = range(len(whole))
    fits = bisect_right(
        lengths,
        width,
        key=lambda kept: math.ceil(pen.textlength(_shortened(whole, kept), font)),
    )
    line = whole if pen.textlength(whole, font) <= width else _shortened(whole, fits - 1)
    pen.text(place, line, fill=ink, font=font)


def _shortened(text: str, kept: int) -> str:
    """The beginning and the end of a text, ``kept`` letters in all."""
    kept = max(kept, 2)
    return f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"


@lru_cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_LETTER)
