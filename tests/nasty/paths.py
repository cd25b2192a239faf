"""Media that rows name in every odd way: paths, URLs, and content of their own."""

import base64
import os
from pathlib import Path
from typing import Any

from tests.nasty.asking import asks
from tests.nasty.drawing import QUARTERS, good, noise, part, png, put, quarters, saved
from tests.nasty.outcomes import Case, Emptied, Outcome, Quarantined, Row, Trained

_FINE = Trained(quarters=QUARTERS, pictures=1)
_OUT = "leads out of media_dir to "
_MOVE = "Move it into "


def names(name: str, image: Any, expected: Outcome) -> Case:
    """A row that names an image; ``MEDIA`` stands for the folder of all."""

    def write(folder: Path) -> Row:
        good(folder)
        secret = folder.parent / "outside.jpg"
        put(folder.parent, secret.name, saved(quarters()))
        return asks(image.replace("MEDIA", str(folder)) if isinstance(image, str) else image)

    return Case(name, write, expected)


def called(name: str, file: str, expected: Outcome = _FINE) -> Case:
    """A row over a file of an odd name."""
    return Case(name, lambda folder: asks(put(folder, file, saved(quarters()))), expected)


def leads(name: str, link: str, target: str, expected: Outcome) -> Case:
    """A row over a symbolic link; ``MEDIA`` stands for the folder of all."""

    def write(folder: Path) -> Row:
        good(folder)
        put(folder.parent, "outside.jpg", saved(quarters()))
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(target.replace("MEDIA", str(folder)))
        return asks(link)

    return Case(name, write, expected)


def _pipe(folder: Path) -> Row:
    if not (folder / "pipe.jpg").exists():
        os.mkfifo(folder / "pipe.jpg")
    return asks("pipe.jpg")


def _folder_out(folder: Path) -> Row:
    put(folder.parent, "outside.jpg", saved(quarters()))
    (folder / "door").unlink(missing_ok=True)
    (folder / "door").symlink_to(folder.parent)
    return asks("door/outside.jpg")


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


PATHS = (
    names(
        "a path that climbs out of its folder is refused",
        "../outside.jpg",
        Quarantined(f"'../outside.jpg' {_OUT}", _MOVE),
    ),
    names(
        "a path that climbs out half way is refused",
        "a/../../outside.jpg",
        Quarantined(_OUT, _MOVE),
    ),
    names("a path that climbs and comes back is inside", "../media/good.jpg", _FINE),
    names(
        "an absolute path elsewhere is refused",
        "/etc/passwd",
        Quarantined(f"'/etc/passwd' {_OUT}/etc/passwd", _MOVE),
    ),
    names("an absolute path within the folder is used", "MEDIA/good.jpg", _FINE),
    names("a device is refused", "/dev/zero", Quarantined(f"{_OUT}/dev/zero", _MOVE)),
    names(
        "what a process knows of itself is refused",
        "/proc/self/environ",
        Quarantined(_OUT, _MOVE),
    ),
    names("a file URL within the folder is used", "file://MEDIA/good.jpg", _FINE),
    names("a file URL elsewhere is refused", "file:///etc/passwd", Quarantined(_OUT, _MOVE)),
    names(
        "a file URL on another machine is refused",
        "file://server/share/a.jpg",
        Quarantined(_OUT),
    ),
    names(
        "a host that is not listed is not asked",
        "http://example.com/a.jpg",
        Quarantined(
            "is on a host that is not listed, example.com",
            "Fetch it into media_dir, or list example.com under data.hosts",
        ),
    ),
    names(
        "nor is it by https",
        "https://example.com/a.jpg",
        Quarantined("is on a host that is not listed, example.com"),
    ),
    names(
        "nor is the host behind a user's name",
        "https://localhost@example.com/a.jpg",
        Quarantined("'https://…@example.com/a.jpg' is no path"),
    ),
    names(
        "a bucket that is not named is not asked",
        "s3://elsewhere/a.jpg",
        Quarantined(f"{_OUT}s3://elsewhere/a.jpg"),
    ),
    names(
        "ftp leads out",
        "ftp://example.com/a.jpg",
        Quarantined(f"{_OUT}ftp://example.com/a.jpg"),
    ),
    names(
        "gopher and what else there may be lead out",
        "gopher://example.com/1",
        Quarantined(_OUT),
    ),
    names(
        "a home that nobody said is no home",
        "~/good.jpg",
        Quarantined("'~/good.jpg' not found", "Put the file there"),
    ),
    names(
        "a variable in a path is no variable",
        "$HOME/good.jpg",
        Quarantined("'$HOME/good.jpg' not found"),
    ),
    names("a pattern is no path", "*.jpg", Quarantined("'*.jpg' not found")),
    names(
        "a path of another system is not found",
        "C:\\images\\good.jpg",
        Quarantined("not found", "Put the file there"),
    ),
    names("a slash behind a file's name is left off", "good.jpg/", _FINE),
    names(
        "a slash behind a name that is not there is named",
        "gone.jpg/",
        Quarantined("'gone.jpg/' not found"),
    ),
    names(
        "the folder itself is no file",
        ".",
        Quarantined("'.' is no file", "Give the path of a file"),
    ),
    names(
        "a path with a NUL is none",
        "a\0b.jpg",
        Quarantined("'a\\x00b.jpg' is no path", "Correct the path"),
    ),
    names(
        "a path of 5,000 letters is not found",
        "x" * 5000 + ".jpg",
        Quarantined("not found", "Put the file there"),
    ),
    names(
        "a path of 2,000 folders is not found", "a/" * 2000 + "b.jpg", Quarantined("not found")
    ),
    names("dots and slashes too many change nothing", ".//./good.jpg", _FINE),
    called("a name may have a number sign", "a#b.jpg"),
    called("a name may have a percent sign", "100%25 a.jpg"),
    called("a name may have spaces at its ends", "  a b .jpg"),
    called("a name may have a line break", "a\nb.jpg"),
    called("a name may be Chinese", "图片/第一张.jpg"),
    called("a name may have a question mark", "a?b=c.jpg"),
    called("a name may begin with a hyphen", "-rf.jpg"),
    called("a name may have a colon", "12:30:00.jpg"),
    called("a name may have a backslash", "a\\b.jpg"),
    called("a name may be hidden", ".hidden.jpg"),
    leads("a link within the folder is followed", "link.jpg", "good.jpg", _FINE),
    leads(
        "a link out of the folder is refused",
        "out.jpg",
        "../outside.jpg",
        Quarantined(f"'out.jpg' {_OUT}", _MOVE),
    ),
    leads("a link to itself ends", "loop.jpg", "loop.jpg", Quarantined("'loop.jpg'")),
    leads(
        "a link to nothing is named",
        "nowhere.jpg",
        "gone.jpg",
        Quarantined("'nowhere.jpg' not found", "Put the file there"),
    ),
    Case(
        "a folder that is a link out is refused",
        _folder_out,
        Quarantined(f"'door/outside.jpg' {_OUT}", _MOVE),
    ),
    Case(
        "a pipe is no file, and nobody waits for it",
        _pipe,
        Quarantined("'pipe.jpg' is no file", "Give the path of a file"),
    ),
)

INLINE = (
    names("base64 of a picture is a picture", _coded(saved(quarters())), _FINE),
    names(
        "base64 in lines is a picture",
        "data:image/jpeg;base64,"
        + "\n".join(base64.encodebytes(saved(quarters())).decode().split()),
        _FINE,
    ),
    names(
        "a struct of bytes as base64 is a picture",
        {"bytes": _coded(saved(quarters())), "path": None},
        _FINE,
    ),
    names("a struct of a path alone is a path", {"bytes": None, "path": "good.jpg"}, _FINE),
    names(
        "a data URI in capitals is one",
        f"DATA:image/png;BASE64,{_coded(saved(quarters(), 'PNG'))}",
        _FINE,
    ),
    names(
        "a data URI that lies about its kind is what it is",
        f"data:image/gif;base64,{_coded(saved(quarters(), 'PNG'))}",
        _FINE,
    ),
    names(
        "base64 that is cut short is named",
        f"data:image/png;base64,{_coded(saved(quarters(), 'PNG'))[:-3]}",
        Quarantined("image 1 is broken base64 (", "Write it again"),
    ),
    names(
        "base64 of letters that are none is named",
        "data:image/png;base64,####",
        Quarantined("image 1 is broken base64 (", "Write it again"),
    ),
    names(
        "base64 of words is no picture",
        f"data:image/png;base64,{_coded(b'hello there')}",
        Quarantined(
            "image 'inline image 1' is no picture of a kind we read", "Write it as one of"
        ),
    ),
    names(
        "an empty data URI is named",
        "data:image/png;base64,",
        Quarantined("image 1 is empty (0 bytes)", "Write the file again"),
    ),
    names(
        "a data URI without data is named",
        "data:image/png",
        Quarantined("image 1 is a data URI without data", "Write data:"),
    ),
    names(
        "a struct of nothing is named",
        {"bytes": None, "path": None},
        Quarantined("image 1 is {'bytes': None", "Write its path"),
    ),
    names(
        "a struct of numbers is named",
        {"bytes": [255, 216]},
        Quarantined("image 1 is {'bytes': [255", "Write its path"),
    ),
    names(
        "half a picture in a row is found as half a file is",
        f"data:image/png;base64,{_coded(part(saved(noise(), 'PNG'), 0.5))}",
        Emptied(".blob, bytes "),
    ),
    names(
        "a header in a row that claims too much is refused",
        f"data:image/png;base64,{_coded(png((60_000, 60_000), 8, 2, b''))}",
        Quarantined("image 'inline image 1' has 60000 x 60000 pixels", "Write it smaller"),
    ),
)
