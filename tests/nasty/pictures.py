"""Pictures of every odd kind that can be used, and how they have to look."""

import numpy as np
from PIL import Image

from tests.nasty.drawing import (
    BLUE,
    GREEN,
    QUARTERS,
    RED,
    WHITE,
    all_of,
    chunk,
    deep_png,
    quarters,
    saved,
    segment,
    stored_turned,
    with_chunk,
    with_segments,
)
from tests.nasty.odd_pictures import (
    CLEAR_BELOW,
    GREYS,
    bytes_behind,
    clear_palette,
    deep_grey,
    frames_apart,
    half_clear,
    huge_pixels,
    mpo,
    one_block,
    page_loop,
    picture,
    several,
    turned_by_xmp,
    white_is_zero,
    with_icc,
    with_thumbnail,
    ycck,
)
from tests.nasty.outcomes import Trained

BLACK_AND_WHITE = ((0, 0, 0), WHITE, WHITE, (0, 0, 0))
DARK_TO_LIGHT = ((0, 0, 0), (85, 85, 85), (170, 170, 170), WHITE)
FINE = Trained(quarters=QUARTERS, size=(64, 48))
GREY = Trained(quarters=all_of((128, 128, 128)))


_TURNED = tuple(
    picture(
        f"a JPEG is turned as its EXIF orientation {number} says",
        f"turned-{number}.jpg",
        lambda number=number: stored_turned(number),  # type: ignore[misc]
        FINE,
    )
    for number in range(1, 9)
)

USABLE = (
    *_TURNED,
    picture(
        "a PNG is turned as its EXIF says", "turned.png", lambda: stored_turned(6, "PNG"), FINE
    ),
    picture(
        "a WebP is turned as its EXIF says",
        "turned.webp",
        lambda: stored_turned(6, "WEBP"),
        FINE,
    ),
    picture(
        "a TIFF is turned as its tag says", "turned.tif", lambda: stored_turned(6, "TIFF"), FINE
    ),
    picture("a JPEG is turned where XMP alone says so", "xmp.jpg", turned_by_xmp, FINE),
    picture(
        "an EXIF orientation that does not exist turns nothing",
        "exif-99.jpg",
        lambda: stored_turned(99),
        FINE,
    ),
    picture(
        "broken EXIF is no reason to lose a picture",
        "exif-broken.jpg",
        lambda: with_segments(
            saved(quarters()), segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")
        ),
        FINE,
    ),
    picture(
        "EXIF that is cut short is no reason to lose a picture",
        "exif-short.jpg",
        lambda: with_segments(saved(quarters()), segment(0xE1, b"Exif\0\0")),
        FINE,
    ),
    picture(
        "a thumbnail in the EXIF is not the picture", "thumbnail.jpg", with_thumbnail, FINE
    ),
    picture(
        "a broken colour profile in a JPEG is left alone",
        "icc.jpg",
        lambda: with_icc(b"nonsense"),
        FINE,
    ),
    picture(
        "a broken colour profile in a PNG is left alone",
        "icc.png",
        lambda: with_chunk(saved(quarters(), "PNG"), chunk(b"iCCP", b"name\0\0nonsense")),
        FINE,
    ),
    picture(
        "16-bit grey is scaled by its range and not clipped to white",
        "deep.png",
        lambda: saved(deep_grey(np.uint16, (0, 21845, 43690, 65535)), "PNG"),
        Trained(quarters=DARK_TO_LIGHT),
    ),
    picture(
        "16-bit colour looks like 8-bit colour",
        "deep-rgb.png",
        lambda: deep_png(quarters(), 2),
        FINE,
    ),
    picture(
        "16-bit colour with alpha is laid over white",
        "deep-rgba.png",
        lambda: deep_png(half_clear(), 6),
        Trained(quarters=CLEAR_BELOW),
    ),
    picture(
        "16-bit grey with alpha is laid over white",
        "deep-la.png",
        lambda: deep_png(half_clear("LA"), 4),
        Trained(quarters=(*(all_of((88, 88, 88))[:1]), (124, 124, 124), WHITE, WHITE)),
    ),
    picture(
        "a float TIFF is scaled by the range of its values",
        "float.tif",
        lambda: saved(deep_grey(np.float32, (-1.0, 0.0, 1.0, 2.0)), "TIFF"),
        Trained(quarters=DARK_TO_LIGHT),
    ),
    picture(
        "values that are no numbers do not spoil a float TIFF",
        "nan.tif",
        lambda: saved(deep_grey(np.float32, (float("nan"), 1.0, 2.0, float("inf"))), "TIFF"),
        Trained(quarters=((0, 0, 0), (0, 0, 0), WHITE, WHITE)),
    ),
    picture(
        "32-bit whole numbers are scaled by the range of their values",
        "long.tif",
        lambda: saved(deep_grey(np.int32, (0, 100_000, 200_000, 300_000)), "TIFF"),
        Trained(quarters=DARK_TO_LIGHT),
    ),
    picture(
        "a float picture of one value is one colour",
        "flat.tif",
        lambda: saved(deep_grey(np.float32, (7.0,) * 4), "TIFF"),
        Trained(size=(64, 48)),
    ),
    picture(
        "clear parts of a PNG show white and not what is beneath",
        "clear.png",
        lambda: saved(half_clear(), "PNG"),
        Trained(quarters=CLEAR_BELOW),
    ),
    picture(
        "clear parts of a WebP show white",
        "clear.webp",
        lambda: saved(half_clear(), "WEBP", exact=True),
        Trained(quarters=CLEAR_BELOW),
    ),
    picture(
        "a clear colour of a palette shows white",
        "palette.png",
        clear_palette,
        Trained(quarters=CLEAR_BELOW),
    ),
    picture(
        "a clear colour of a GIF shows white",
        "clear.gif",
        lambda: saved(half_clear(), "GIF"),
        Trained(quarters=CLEAR_BELOW),
    ),
    picture(
        "the one colour that an RGB PNG calls clear shows white",
        "key.png",
        lambda: saved(quarters((RED, GREEN, BLUE, BLUE)), "PNG", transparency=BLUE),
        Trained(quarters=CLEAR_BELOW),
    ),
    picture(
        "grey with alpha is laid over white",
        "grey-alpha.png",
        lambda: saved(half_clear("LA"), "PNG"),
        Trained(quarters=((88, 88, 88), (124, 124, 124), WHITE, WHITE)),
    ),
    picture(
        "1-bit pictures are black and white",
        "bit.png",
        lambda: saved(quarters(BLACK_AND_WHITE).convert("1"), "PNG"),
        Trained(quarters=BLACK_AND_WHITE),
    ),
    picture(
        "2-bit palettes have their colours",
        "two-bit.png",
        lambda: saved(quarters().quantize(4), "PNG", bits=2),
        FINE,
    ),
    picture(
        "grey JPEGs are grey",
        "grey.jpg",
        lambda: saved(quarters(GREYS).convert("L")),
        Trained(quarters=GREYS),
    ),
    picture(
        "TIFFs in which white is zero are not negatives",
        "white-is-zero.tif",
        white_is_zero,
        Trained(quarters=GREYS),
    ),
    picture(
        "CMYK JPEGs have their colours",
        "cmyk.jpg",
        lambda: saved(quarters().convert("CMYK")),
        FINE,
    ),
    picture(
        "CMYK TIFFs have their colours",
        "cmyk.tif",
        lambda: saved(quarters().convert("CMYK"), "TIFF"),
        FINE,
    ),
    picture("YCCK JPEGs have their colours", "ycck.jpg", ycck, FINE),
    picture(
        "Lab TIFFs have a picture",
        "lab.tif",
        lambda: saved(Image.new("LAB", (64, 48), (128, 128, 128)), "TIFF"),
        Trained(quarters=all_of((119, 119, 119))),
    ),
    picture(
        "progressive JPEGs are read to the last scan",
        "progressive.jpg",
        lambda: saved(quarters(), progressive=True),
        FINE,
    ),
    picture(
        "JPEGs with restart markers are whole",
        "restarts.jpg",
        lambda: saved(quarters(), restart_marker_blocks=1),
        FINE,
    ),
    picture(
        "arithmetic-coded JPEGs are read",
        "arithmetic.jpg",
        lambda: one_block(0xC9, b"\0\0\0\0"),
        Trained(size=(8, 8)),
    ),
    picture("lossless JPEGs are read", "lossless.jpg", lambda: one_block(0xC3, bytes(8)), GREY),
    picture(
        "bytes behind a JPEG are none of it", "motion.jpg", lambda: bytes_behind("JPEG"), FINE
    ),
    picture(
        "bytes behind a PNG are none of it", "behind.png", lambda: bytes_behind("PNG"), FINE
    ),
    picture(
        "of a JPEG with a second lens, the first counts and nothing is said",
        "two-lenses.jpg",
        mpo,
        FINE,
    ),
    picture(
        "of a GIF that moves, the first frame counts and is said to",
        "moving.gif",
        lambda: several("GIF"),
        Trained(quarters=QUARTERS, note="3 frames, the first is used"),
    ),
    picture(
        "of a WebP that moves, the first frame counts and is said to",
        "moving.webp",
        lambda: several("WEBP", lossless=True),
        Trained(quarters=QUARTERS, note="3 frames, the first is used"),
    ),
    picture(
        "of a PNG that moves, the first frame counts and is said to",
        "moving.png",
        lambda: several("PNG"),
        Trained(quarters=QUARTERS, note="3 frames, the first is used"),
    ),
    picture(
        "of a PNG with a film behind its picture, the picture counts",
        "apart.png",
        frames_apart,
        Trained(quarters=QUARTERS, note="3 frames, the first is used"),
    ),
    picture(
        "of a TIFF of pages, the first counts and is said to",
        "pages.tif",
        lambda: several("TIFF"),
        Trained(quarters=QUARTERS, note="3 frames, the first is used"),
    ),
    picture("a TIFF whose pages go in a circle ends", "circle.tif", page_loop, FINE),
    picture(
        "a picture of one pixel is enlarged",
        "one.png",
        lambda: saved(Image.new("RGB", (1, 1), RED), "PNG"),
        Trained(quarters=all_of(RED), size=(1, 1)),
    ),
    picture(
        "a PNG that is called JPEG is a PNG",
        "really-a-png.jpg",
        lambda: saved(quarters(), "PNG"),
        FINE,
    ),
    picture(
        "a JPEG that is called PNG is a JPEG",
        "really-a-jpeg.png",
        lambda: saved(quarters()),
        FINE,
    ),
    picture(
        "a WebP that is called JPEG is a WebP",
        "really-a-webp.jpeg",
        lambda: saved(quarters(), "WEBP"),
        FINE,
    ),
    picture(
        "a picture needs no extension", "no-extension", lambda: saved(quarters(), "BMP"), FINE
    ),
    picture(
        "pixels of a PNG that unpack to far too much are left packed",
        "bomb-behind.png",
        huge_pixels,
        FINE,
    ),
    picture("BMPs are read from below", "bitmap.bmp", lambda: saved(quarters(), "BMP"), FINE),
)
