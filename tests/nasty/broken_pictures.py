"""Pictures that cannot be used, and what has to be said of them."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.nasty.asking import asks
from tests.nasty.drawing import (
    chunk,
    jpeg_of_size,
    noise,
    part,
    png,
    quarters,
    replaced,
    saved,
    tiff,
    with_chunk,
)
from tests.nasty.odd_pictures import deep_grey, picture
from tests.nasty.outcomes import Case, Emptied, Quarantined, Row

NOT_READ = "is no picture of a kind we read"


def unread(name: str, file: str, content: bytes) -> Case:
    """Something else under a picture's name."""
    outcome = Quarantined(f"{file!r} {NOT_READ}", "Write it as one of")
    return picture(name, file, lambda: content, outcome)


def _cut(kind: str, quarter: int) -> Case:
    file = f"cut-{quarter}.{kind.lower()}"
    return picture(
        f"a {kind} cut after {quarter} of 4 quarters is found, not filled with grey",
        file,
        lambda: part(saved(noise(), kind), quarter / 4),
        Emptied(f"{file!r} cannot be decoded"),
    )


def giant(name: str, file: str, content: bytes, claims: str) -> Case:
    """A header that claims too much."""
    words = f"{file!r} has {claims} pixels"
    return picture(name, file, lambda: content, Quarantined(words, "Write it smaller"))


def _webp_of_size(side: int) -> bytes:
    data = bytearray(saved(quarters(), "WEBP", exif=b"Exif\0\0II*\0"))
    assert data[12:16] == b"VP8X"
    data[24:30] = (side - 1).to_bytes(3, "little") * 2
    return bytes(data)


def _bmp_of_size(width: int, height: int) -> bytes:
    data = bytearray(saved(quarters(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def _gif_of_size(side: int) -> bytes:
    data = bytearray(saved(quarters(), "GIF"))
    data[6:10] = struct.pack("<HH", side, side)
    return bytes(data)


def _bad_checksum(kind: bytes) -> bytes:
    data = bytearray(saved(noise(), "PNG"))
    place = data.index(kind)
    length = struct.unpack(">I", data[place - 4 : place])[0]
    data[place + 4 + length] ^= 0xFF
    return bytes(data)


def _garbled(kind: str) -> bytes:
    data = bytearray(saved(noise(), kind))
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xff\xd5" * 200
    return bytes(data)


def _text_bomb(kind: bytes, head: bytes) -> bytes:
    packed = zlib.compress(bytes(8 << 20))
    return with_chunk(saved(quarters(), "PNG"), chunk(kind, head + packed))


def _folder(folder: Path) -> Row:
    (folder / "folder.jpg").mkdir(exist_ok=True)
    return asks("folder.jpg")


_HTML = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>"
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script/></svg>'
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run showpage\n%%EOF\n"
_HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)

BROKEN = (
    *(_cut("JPEG", quarter) for quarter in (1, 2, 3)),
    *(_cut("PNG", quarter) for quarter in (1, 2, 3)),
    *(_cut("WEBP", quarter) for quarter in (1, 2, 3)),
    *(_cut("GIF", quarter) for quarter in (1, 2, 3)),
    *(_cut("BMP", quarter) for quarter in (1, 2, 3)),
    *(_cut("TIFF", quarter) for quarter in (1, 2, 3)),
    picture(
        "a progressive JPEG cut in half is found",
        "cut-progressive.jpg",
        lambda: part(saved(noise(), progressive=True), 0.5),
        Emptied("'cut-progressive.jpg' cannot be decoded"),
    ),
    picture(
        "a grey JPEG cut in half is found",
        "cut-grey.jpg",
        lambda: part(saved(noise().convert("L")), 0.5),
        Emptied("'cut-grey.jpg' cannot be decoded"),
    ),
    picture(
        "a CMYK JPEG cut in half is found",
        "cut-cmyk.jpg",
        lambda: part(saved(noise().convert("CMYK")), 0.5),
        Emptied("'cut-cmyk.jpg' cannot be decoded"),
    ),
    picture(
        "a JPEG garbled in the middle is found",
        "garbled.jpg",
        lambda: _garbled("JPEG"),
        Emptied("'garbled.jpg' cannot be decoded"),
    ),
    picture(
        "a PNG garbled in the middle is found",
        "garbled.png",
        lambda: _garbled("PNG"),
        Emptied("'garbled.png' cannot be decoded"),
    ),
    picture(
        "a JPEG cut within its header is found at once",
        "header.jpg",
        lambda: saved(quarters())[:100],
        Quarantined("'header.jpg'"),
    ),
    picture(
        "a JPEG of three bytes is found at once",
        "three.jpg",
        lambda: b"\xff\xd8\xff",
        Quarantined("'three.jpg'"),
    ),
    picture(
        "a PNG of its first eight bytes is found at once",
        "eight.png",
        lambda: b"\x89PNG\r\n\x1a\n",
        Quarantined("'eight.png'"),
    ),
    picture(
        "a JPEG that claims more than it holds is found",
        "claims.jpg",
        lambda: jpeg_of_size(640, 640),
        Emptied("'claims.jpg' cannot be decoded"),
    ),
    Case(
        "a picture that is not there is named",
        lambda _: asks("missing.jpg"),
        Quarantined("'missing.jpg' not found", "Put the file there"),
    ),
    picture(
        "an empty file is named",
        "empty.jpg",
        lambda: b"",
        Quarantined("'empty.jpg' is empty (0 bytes)", "Write the file again"),
    ),
    Case(
        "a folder is no picture",
        _folder,
        Quarantined("'folder.jpg' is no file", "Give the path of a file"),
    ),
    unread("a server's error page is no picture", "page.jpg", _HTML),
    unread("an SVG is no picture", "drawing.svg", _SVG),
    unread("an EPS starts no Ghostscript, whatever its name", "script.jpg", _EPS),
    unread("a HEIC is named with the kinds that are read", "phone.heic", _HEIC),
    unread(
        "a JPEG 2000 is named with the kinds that are read",
        "medical.jp2",
        saved(quarters(), "JPEG2000"),
    ),
    unread(
        "an AVIF is named with the kinds that are read", "new.avif", saved(quarters(), "AVIF")
    ),
    unread(
        "an icon is named with the kinds that are read", "icon.ico", saved(quarters(), "ICO")
    ),
    unread("a PDF is no picture", "paper.jpg", b"%PDF-1.7\n"),
    unread("words are no picture", "words.png", b"hello"),
    unread("a file of zeros is no picture", "zeros.jpg", bytes(5000)),
    unread(
        "a JPEG behind garbage is no picture", "before.jpg", b"\r\n\r\n" + saved(quarters())
    ),
    giant(
        "a PNG of 60,000 x 60,000 is refused by its header",
        "giant.png",
        png((60_000, 60_000), 8, 2, b""),
        "60000 x 60000",
    ),
    giant(
        "a JPEG of 65,500 x 65,500 is refused by its header",
        "giant.jpg",
        jpeg_of_size(65_500, 65_500),
        "65500 x 65500",
    ),
    giant(
        "a WebP of 16,384 x 16,384 is refused by its header",
        "giant.webp",
        _webp_of_size(16_384),
        "16384 x 16384",
    ),
    giant(
        "a GIF of 65,535 x 65,535 is refused by its header",
        "giant.gif",
        _gif_of_size(65_535),
        "65535 x 65535",
    ),
    giant(
        "a BMP of 100,000 x 100,000 is refused by its header",
        "giant.bmp",
        _bmp_of_size(100_000, 100_000),
        "100000 x 100000",
    ),
    giant(
        "a TIFF of 100,000 x 100,000 is refused by its header",
        "giant.tif",
        tiff(
            (256, 4, 100_000),
            (257, 4, 100_000),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 8),
            (278, 4, 100_000),
            (279, 4, 1),
        ),
        "100000 x 100000",
    ),
    picture(
        "a line of 1 x 3,000 is too long for any grid",
        "thin.png",
        lambda: saved(Image.new("RGB", (1, 3000)), "PNG"),
        Quarantined("'thin.png' cannot be used (", "Crop it"),
    ),
    picture(
        "a line of 3,000 x 1 is too long for any grid",
        "flat.png",
        lambda: saved(Image.new("RGB", (3000, 1)), "PNG"),
        Quarantined("'flat.png' cannot be used (", "Crop it"),
    ),
    picture(
        "a PNG of no width is refused",
        "no-width.png",
        lambda: png((0, 48), 8, 2, b""),
        Quarantined("'no-width.png'"),
    ),
    picture(
        "a JPEG of no height is refused",
        "no-height.jpg",
        lambda: jpeg_of_size(64, 0),
        Quarantined("'no-height.jpg'"),
    ),
    picture(
        "a GIF of no size is refused",
        "no-size.gif",
        lambda: b"GIF89a\0\0\0\0\0\0\0;",
        Quarantined("'no-size.gif'"),
    ),
    picture(
        "a BMP of no width is refused",
        "no-width.bmp",
        lambda: _bmp_of_size(0, 48),
        Quarantined("'no-width.bmp'"),
    ),
    picture(
        "a TIFF without a single tag is refused",
        "no-tags.tif",
        tiff,
        Quarantined("'no-tags.tif'"),
    ),
    picture(
        "a GIF of no frames is refused",
        "no-frames.gif",
        lambda: b"GIF89a\x40\0\x30\0\0\0\0;",
        Quarantined("'no-frames.gif'"),
    ),
    picture(
        "a PNG with a wrong checksum in its header is refused",
        "sum.png",
        lambda: _bad_checksum(b"IHDR"),
        Quarantined("'sum.png'"),
    ),
    picture(
        "a JPEG without its last two bytes counts as cut",
        "no-end.jpg",
        lambda: saved(quarters())[:-2],
        Emptied("'no-end.jpg' cannot be decoded"),
    ),
    picture(
        "a PNG whose packed text unpacks to 8 MB is refused",
        "bomb.png",
        lambda: _text_bomb(b"zTXt", b"comment\0\0"),
        Quarantined("'bomb.png' cannot be decoded"),
    ),
    picture(
        "a PNG whose international text unpacks to 8 MB is refused",
        "bomb-i.png",
        lambda: _text_bomb(b"iTXt", b"comment\0\1\0\0\0"),
        Quarantined("'bomb-i.png' cannot be decoded"),
    ),
    picture(
        "a float picture without a single number is named",
        "all-nan.tif",
        lambda: saved(deep_grey(np.float32, (float("nan"),) * 4), "TIFF"),
        Emptied("'all-nan.tif' cannot be decoded ('no finite value in it')"),
    ),
    picture(
        "a JPEG of 12 bits is named",
        "twelve.jpg",
        lambda: replaced(saved(quarters()), b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
        Quarantined("'twelve.jpg'"),
    ),
    picture(
        "a TIFF packed in a way that nobody knows is named",
        "packed.tif",
        lambda: replaced(
            saved(quarters(), "TIFF"),
            struct.pack("<HHII", 259, 3, 1, 1),
            struct.pack("<HHII", 259, 3, 1, 999),
        ),
        Quarantined("'packed.tif'"),
    ),
)
