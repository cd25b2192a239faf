"""The pictures in a folder, and when each was taken."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.grouping.rules import LeftOut, natural_key
from orchestrator.data.media import pillow
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.places.status import status
from orchestrator.data.small_picture import MAX_SOURCE_PIXELS, reader_of
from orchestrator.errors import DataError, StorageError

MADE = "orchestrator_group.json"
"""In a folder that we wrote ourselves: its pictures are not looked at again."""

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is to do, and a word on what that is."""

# A file that is called a picture and is none is worth a word; any other is not.
_PICTURE_ENDING = re.compile(
    r"\.(jpe?g?|jfif|png|webp|gif|bmp|tiff?|hei[cf]|avif|jxl|jp2|dng|cr2|nef|arw)$",
    re.IGNORECASE,
)
_EXIF, _TAKEN, _SUBSECOND = 0x8769, 0x9003, 0x9291


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a folder."""

    names: tuple[str, ...]
    """Its pictures, in natural order."""

    left_out: tuple[LeftOut, ...]
    """Files that are called pictures and cannot be used."""

    num_others: int
    """Files that are no pictures, nor called so."""


def content_of(folder: Path, name: str) -> Content:
    """The picture of a name."""
    return Content(name, Location(str(folder / name)))


def find_images(folder: Path, progress: Progress | None = None) -> Found:
    """Find all pictures in a folder and the folders in it, by their headers, not their names.

    Passed over: hidden files and folders, links to folders, folders that we wrote ourselves.

    Raises:
        DataError: There is no such folder, or no picture in it.
        StorageError: The disk does not answer.
    """
    if not folder.is_dir():
        raise DataError("is no folder", str(folder), "Name a folder of images")
    files = sorted(_files(folder), key=natural_key)
    names, left_out, num_others = [], [], 0
    for done, name in enumerate(files, start=1):
        try:
            _check(folder, name)
            names.append(name)
        except BadSampleError as error:
            if _PICTURE_ENDING.search(name):
                left_out.append(LeftOut(_printable(name), error.reason, error.remedy))
            else:
                num_others += 1
        if progress is not None:
            progress(done, len(files), "files")
    if not names:
        why = "".join(f"; {one.name}: {one.reason}" for one in left_out[:1])
        raise DataError(
            f"holds no image that can be used, of {len(files)} files{why}",
            str(folder),
            "Name a folder of images (JPEG, PNG, WebP, GIF, BMP, TIFF)",
        )
    return Found(tuple(names), tuple(left_out), num_others)


def when_taken(folder: Path, name: str, *, use_file_time: bool) -> datetime:
    """Say when a picture was taken, on the camera's clock.

    Args:
        folder: The folder that is grouped.
        name: The picture.
        use_file_time: Take the time when the file was last changed where EXIF says nothing.

    Raises:
        BadSampleError: EXIF says nothing, and the file was not asked.
        StorageError: The disk does not answer.
    """
    content = content_of(folder, name)
    source = content.path or content.read()
    with pillow.opened(source, name, MAX_SOURCE_PIXELS) as image:
        taken = _exif_time(image)
    if taken is not None:
        return taken
    if use_file_time:
        return datetime.fromtimestamp((folder / name).stat().st_mtime)
    raise BadSampleError(
        "no time of capture (EXIF DateTimeOriginal)",
        "Group in another way, or go by the files' times",
    )


def _exif_time(image: Image.Image) -> datetime | None:
    try:
        # Not the PNG's own method: it decodes all pixels to look for EXIF behind them.
        exif: dict[int, Any] = Image.Image.getexif(image).get_ifd(_EXIF)
        taken = datetime.strptime(str(exif[_TAKEN]).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # noqa: BLE001 - garbled EXIF fails in many ways, and all mean "not said"
        return None
    # Pictures of a burst share a second.
    digits = str(exif.get(_SUBSECOND, "")).strip("\0 ")
    return taken + timedelta(seconds=float(f"0.{digits}") if digits.isdecimal() else 0.0)


def _files(folder: Path) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise StorageError(
            f"cannot be listed ({error.strerror})", str(error.filename), "Check the folder"
        ) from error

    for place, folders, files in os.walk(folder, onerror=fail):
        if MADE in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        within = Path(place).relative_to(folder)
        for name in files:
            if not name.startswith("."):
                yield (within / name).as_posix()


def _check(folder: Path, name: str) -> None:
    """Refuse what a data file could not name, or training could not read."""
    if _printable(name) != name:
        raise BadSampleError("its name is not valid Unicode", "Rename it")
    path = folder / name
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise BadSampleError("a link that leads out of the folder", "Copy the file there")
    content = content_of(folder, name)
    status(content.location, name)
    reader_of().probe(content)


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
