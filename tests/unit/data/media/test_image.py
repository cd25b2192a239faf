"""Pictures: measured by their header, decoded at the size asked for."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError
from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.media.medium import ImageSize, Probed
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location

WriteImage = Callable[..., str]

# What a camera stores under each EXIF orientation: the upright picture turned back.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


MEDIUM = ImageMedium(max_source_pixels=200_000_000, background="#ffffff")
EXACT = replace(MEDIUM, exact_pixels=True)


def content_of(path: Path) -> Content:
    return Content(path.name, Location(str(path)))


def probe(path: Path, medium: ImageMedium = MEDIUM) -> ImageSize:
    (size,) = medium.probe(content_of(path)).pictures
    return size


def load(path: Path, target: tuple[int, int], medium: ImageMedium = MEDIUM) -> Pixels:
    (pixels_HWC,) = medium.load(content_of(path), (target,))
    return pixels_HWC


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tif", "png-inside.jpg"]
)
def test_a_header_gives_the_size_whatever_the_name(
    tmp_path: Path, write_image: WriteImage, name: str
) -> None:
    kind = "png" if name.startswith("png") else None
    write_image(name, 40, 30, format=kind)
    assert probe(tmp_path / name) == ImageSize(width=40, height=30)
    assert load(tmp_path / name, (15, 20)).shape == (15, 20, 3)


@pytest.mark.parametrize("medium", [MEDIUM, EXACT], ids=["fast", "exact"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_measured_and_shown_upright(
    tmp_path: Path, suffix: str, orientation: int, medium: ImageMedium
) -> None:
    upright = np.full((64, 96, 3), BLUE, dtype=np.uint8)
    upright[:32, :48] = RED
    stored = Image.fromarray(upright)
    if orientation in STORED:
        stored = stored.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=exif)
    assert probe(path) == ImageSize(width=96, height=64)
    shown = load(path, (32, 48), medium).astype(int)
    assert shown.shape == (32, 48, 3)
    assert np.abs(shown[4:12, 4:20] - RED).max() < 10
    assert np.abs(shown[20:, 28:] - BLUE).max() < 10


def test_a_picture_of_two_frames_from_a_phone_is_its_first(
    tmp_path: Path, write_image: WriteImage
) -> None:
    second = Image.new("RGB", (40, 30))
    path = tmp_path / write_image("a.jpg", 400, 300)
    with Image.open(path) as first:
        first.save(tmp_path / "b.mpo", format="MPO", save_all=True, append_images=[second])
    (tmp_path / "b.mpo").rename(tmp_path / "b.jpg")
    assert probe(tmp_path / "b.jpg") == ImageSize(400, 300)
    difference = load(tmp_path / "b.jpg", (48, 64)).astype(int) - load(path, (48, 64))
    assert np.abs(difference).max() <= 4


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_a_picture_that_moves_or_has_pages_the_first_is_used_and_a_note_says_so(
    tmp_path: Path, kind: str
) -> None:
    first, *rest = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, WHITE)]
    path = tmp_path / "a.jpg"
    first.save(path, kind, save_all=True, append_images=rest)
    assert MEDIUM.probe(content_of(path)).notes == ("3 frames, the first is used",)
    assert np.abs(load(path, (8, 8)).astype(int) - RED).max() <= 2


def test_a_picture_inside_another_file_is_read_from_its_place(
    tmp_path: Path, write_image: WriteImage
) -> None:
    for name in ("a.jpg", "a.tif", "a.webp"):
        data = (tmp_path / write_image(name)).read_bytes()
        shard = tmp_path / "shard.tar"
        shard.write_bytes(b"x" * 100 + data + b"y" * 100)
        content = Content(name, Location(str(shard), 100, len(data)))
        assert MEDIUM.probe(content).pictures == (ImageSize(40, 30),)
        (pixels_HWC,) = MEDIUM.load(content, ((16, 16),))
        assert np.array_equal(pixels_HWC, load(tmp_path / name, (16, 16)))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 5)])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_the_smallest_and_longest_pictures_are_enlarged(
    tmp_path: Path, write_image: WriteImage, name: str, size: tuple[int, int]
) -> None:
    path = tmp_path / write_image(name, *size)
    assert probe(path) == ImageSize(*size)
    assert load(path, (56, 84)).shape == (56, 84, 3)


def test_a_cost_is_what_the_coder_says_of_the_size_as_shown(coder: ImageCoder) -> None:
    probed = Probed((ImageSize(width=300, height=100),))
    assert MEDIUM.cost(probed, coder) == (coder.target_size(100, 300),)
    with pytest.raises(ValueError, match="too long"):
        MEDIUM.cost(Probed((ImageSize(width=300, height=1),)), coder)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path, write_image: WriteImage) -> None:
    path = tmp_path / write_image("a.jpg", 300, 200)
    assert load(path, (48, 64)).tobytes() == load(path, (48, 64)).tobytes()


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (Image.new("L", (8, 8), 100), (100, 100, 100)),
        (Image.new("1", (8, 8), 1), WHITE),
        (Image.new("LA", (8, 8), (0, 0)), WHITE),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), WHITE),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("RGB", (8, 8), RED).convert("P"), RED),
        (Image.new("RGB", (8, 8), RED).convert("CMYK"), RED),
        (Image.fromarray(np.full((8, 8), 25700, dtype=np.uint16)), (100, 100, 100)),
        (Image.fromarray(np.eye(8, dtype=np.float32)[:, :1].repeat(8, 1)), None),
    ],
    ids=["L", "1", "LA", "clear", "half clear", "P", "CMYK", "16-bit", "float"],
)
@pytest.mark.parametrize("medium", [MEDIUM, EXACT], ids=["fast", "exact"])
def test_every_mode_comes_out_as_rgb(
    tmp_path: Path,
    image: Image.Image,
    wanted: tuple[int, int, int] | None,
    medium: ImageMedium,
) -> None:
    suffix = "tif" if image.mode in ("CMYK", "F") else "png"
    image.save(tmp_path / f"a.{suffix}")
    pixels_HWC = load(tmp_path / f"a.{suffix}", (8, 8), medium)
    if wanted is None:
        assert (pixels_HWC.min(), pixels_HWC.max()) == (0, 255)
    else:
        assert np.abs(pixels_HWC.astype(int) - wanted).max() <= 1


def test_a_clear_colour_of_a_palette_shows_the_background(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=0)
    assert (load(tmp_path / "a.png", (8, 8)) == 255).all()
    on_blue = load(tmp_path / "a.png", (8, 8), replace(MEDIUM, background="#0000ff"))
    assert (on_blue == BLUE).all()


def test_an_inverted_cmyk_jpeg_has_its_own_colours(tmp_path: Path) -> None:
    # Pillow writes them as Adobe does, inverted and marked so.
    Image.new("RGB", (64, 64), RED).convert("CMYK").save(tmp_path / "a.jpg")
    assert np.abs(load(tmp_path / "a.jpg", (16, 16)).astype(int) - RED).max() <= 3


@pytest.mark.parametrize(
    "content", [b"hello, I am no picture", b"\xff\xd8\xff", b"%!PS-Adobe-3.0"]
)
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(BadSampleError, match=r"a\.jpg.* (is no picture|cannot be decoded)"):
        probe(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("medium", [MEDIUM, EXACT], ids=["fast", "exact"])
def test_a_truncated_picture_is_a_bad_sample_at_the_latest_when_loaded(
    tmp_path: Path, write_image: WriteImage, name: str, kept: float, medium: ImageMedium
) -> None:
    path = tmp_path / write_image(name, 300, 200)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(BadSampleError):  # noqa: PT012 - a header may lie before or behind the cut
        probe(path, medium)
        load(path, (48, 64), medium)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_a_header_that_claims_too_many_pixels_is_refused_at_once(
    tmp_path: Path, write_image: WriteImage, kind: str
) -> None:
    path = tmp_path / write_image("a", 40, 30, format=kind)
    small = replace(MEDIUM, max_source_pixels=1_199)
    for act in (probe, lambda path, medium: load(path, (8, 8), medium)):
        with pytest.raises(BadSampleError, match="40 x 30 pixels, more than 1199"):
            act(path, small)
    assert probe(path, replace(MEDIUM, max_source_pixels=1_200)) == ImageSize(40, 30)


def test_a_bomb_is_never_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    Image.new("1", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    for side in (14_200, 30_000):
        content[18:26] = side.to_bytes(4, "little") * 2
        path.write_bytes(content)
        with pytest.raises(BadSampleError, match=f"{side} x {side} pixels"):
            probe(path)


def test_pillows_own_limits_are_left_as_they_were(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    Image.new("L", (8, 8)).save(tmp_path / "a.tif")
    probe(tmp_path / "a.tif")
    assert before == Image.MAX_IMAGE_PIXELS


def test_garbled_exif_does_not_spoil_a_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    data = path.read_bytes()
    start = data.index(b"Exif") + 6
    path.write_bytes(data[:start] + b"garbled!" + data[start + 8 :])
    assert probe(path) == ImageSize(40, 30)
    assert load(path, (8, 8)).shape == (8, 8, 3)


def test_an_orientation_given_by_xmp_alone_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30)).save(path, xmp=b'<x tiff:Orientation="6"/>')
    assert probe(path) == ImageSize(width=30, height=40)


def test_exact_pixels_are_those_of_a_full_decode_and_pillows_bicubic(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, orientation in (("a.jpg", 1), ("b.jpg", 6), ("a.png", 3), ("a.webp", 5)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        noise = Image.fromarray(rng.integers(0, 256, (301, 203, 3), dtype=np.uint8))
        noise.save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        wanted = np.asarray(upright.resize((84, 56), Image.Resampling.BICUBIC))
        assert np.array_equal(load(tmp_path / name, (56, 84), EXACT), wanted)


def test_a_medium_travels_to_renderers_as_a_few_bytes_that_need_no_torch() -> None:
    pickled = pickle.dumps(MEDIUM)
    assert len(pickled) < 300
    program = (
        "import pickle, sys; medium = pickle.load(sys.stdin.buffer);"
        "print(repr(medium), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, input=pickled, capture_output=True, check=True)
    assert said.stdout.decode() == f"{MEDIUM!r} False\n"


def test_a_file_gone_since_it_was_indexed_is_missing_and_not_bad(tmp_path: Path) -> None:
    with pytest.raises(MissingMediumError, match="not found"):
        load(tmp_path / "gone.jpg", (8, 8))
