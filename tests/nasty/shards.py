"""Tars that are broken as a whole, or whose samples are."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.nasty.asking import asks, line, talk
from tests.nasty.data_file import FINE, all_of_them, file
from tests.nasty.drawing import noise, part, put, quarters, saved
from tests.nasty.outcomes import Emptied, FileCase, Outcome, Quarantined, Refused, Trained

_PICTURE = saved(quarters())
_LINK = b"LINK TO "


def tar(
    name: str,
    members: Callable[[], list[tuple[str, bytes]]],
    *expected: Outcome | Refused,
    keep: int | None = None,
) -> FileCase:
    """A shard; ``keep`` is how many bytes are left of it."""

    def write(folder: Path) -> Path:
        shard = io.BytesIO()
        with tarfile.open(fileobj=shard, mode="w", format=tarfile.GNU_FORMAT) as opened:
            for called, content in members():
                info = tarfile.TarInfo(called)
                info.size = len(content)
                if content.startswith(_LINK):
                    info.type, info.size = tarfile.SYMTYPE, 0
                    info.linkname = content.removeprefix(_LINK).decode()
                opened.addfile(info, io.BytesIO(content))
        return folder / put(folder, "shard.tar", shard.getvalue()[:keep])

    return FileCase(name, write, all_of_them(expected))


def _shard(*more: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    """Three samples, of which the second has something more."""
    row = line({"conversations": talk()})
    good_sample = [("{}.json", row), ("{}.jpg", _PICTURE)]
    first, last = (
        [(name.format(key), body) for name, body in good_sample] for key in ("a", "c")
    )
    return [*first, *more, *last]


TARS = (
    tar(
        "a tar that is cut within a member is read up to there, and says so",
        _shard,
        FINE,
        Quarantined(
            "row breaks off, it is cut off within 'c.jpg'", "Copy or write the shard again"
        ),
        keep=8 * 512,
    ),
    tar(
        "names of members lead nowhere",
        lambda: _shard(
            ("../../b.json", line({"conversations": talk()})), ("../../b.jpg", _PICTURE)
        ),
        FINE,
        FINE,
        FINE,
    ),
    tar(
        "a sample of a tar without text is named",
        lambda: _shard(("b.jpg", _PICTURE)),
        FINE,
        Quarantined("neither 'conversations' nor 'messages'", "Write the turns as a list"),
        FINE,
    ),
    tar(
        "a sample of a tar without an image has none",
        lambda: _shard(("b.json", line({"conversations": talk()}))),
        FINE,
        Trained(pictures=0),
        FINE,
    ),
    tar(
        "a row of a tar that is no JSON is named",
        lambda: _shard(("b.json", b"{"), ("b.jpg", _PICTURE)),
        FINE,
        Quarantined("row 'b.json' cannot be read (", "Write the file itself into the shard"),
        FINE,
    ),
    tar(
        "a row of a tar that is no object is named",
        lambda: _shard(("b.json", b"[]"), ("b.jpg", _PICTURE)),
        FINE,
        Quarantined("row 'b.json' is a JSON list, not an object"),
        FINE,
    ),
    tar(
        "a row of a tar that names what did not come with it is named",
        lambda: _shard(("b.json", line(asks("x.jpg", "y.jpg"))), ("b.jpg", _PICTURE)),
        FINE,
        Quarantined(
            "'x.jpg' did not come with the row in the tar", "Name images by the members"
        ),
        FINE,
    ),
    tar(
        "a link in a tar is not followed",
        lambda: _shard(
            ("b.json", line({"conversations": talk()})), ("b.jpg", _LINK + b"/etc/passwd")
        ),
        FINE,
        Quarantined(
            "row has a link in the tar, 'b.jpg'", "Write the file itself into the shard"
        ),
        FINE,
    ),
    tar(
        "half a picture in a tar is found as half a file is",
        lambda: _shard(
            ("b.json", line({"conversations": talk()})), ("b.jpg", part(saved(noise()), 0.5))
        ),
        FINE,
        Emptied("'shard.tar, bytes "),
        FINE,
    ),
    tar(
        "words in a tar under a picture's name are named",
        lambda: _shard(("b.json", line({"conversations": talk()})), ("b.jpg", b"words")),
        FINE,
        Quarantined("image 'b.jpg' is no picture of a kind we read", "Write it as one of"),
        FINE,
    ),
    tar(
        "sounds in a tar are named",
        lambda: _shard(("b.json", line({"conversations": talk()})), ("b.wav", b"RIFF")),
        FINE,
        Quarantined("'audios' is not supported", "Remove 'audios'"),
        FINE,
    ),
    tar(
        "members of other kinds are left alone",
        lambda: _shard(
            ("b.json", line({"conversations": talk()})),
            ("b.npy", b"words"),
            ("b.jpg", _PICTURE),
        ),
        FINE,
        FINE,
        FINE,
    ),
    tar("an empty tar holds no rows", list, Refused("holds no rows")),
    file(
        "a packed tar is refused with the remedy",
        "shard.tar.gz",
        gzip.compress(bytes(257) + b"ustar\0" + bytes(9999)),
        Refused("is a packed tar", "Unpack it"),
    ),
    file(
        "a tar that is none is refused",
        "shard.tar",
        b"words " * 999,
        Refused("is no tar (", "Copy or write the shard again"),
    ),
)
