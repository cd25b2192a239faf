"""Pictures on disk: found, measured by their header, decoded at the size asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.media import ImageSize, load, probe, resolve
from orchestrator.errors import StorageError

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


def test_a_path_is_found_in_media_dir(tmp_path: Path, write_image: WriteImage) -> None:
    name = write_image("a.jpg")
    assert resolve(name, tmp_path) == resolve(str(tmp_path / name), tmp_path)
    assert resolve(f"./x/../{name}", tmp_path) == (tmp_path / name).resolve()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("../secret.jpg", "leads out of media_dir"),
        ("/etc/passwd", "leads out of media_dir"),
        ("link.jpg", "leads out of media_dir"),
        ("none.jpg", "not found"),
        ("empty.jpg", "is empty"),
        ("", "is no file"),
        ("a.jpg/b.jpg", "not found"),
        ("a" * 5000, "not found"),
        ("nul\0.jpg", "is no path"),
        ("loop", "is no path"),
        ("https://example.com/a.jpg", "is a URL"),
        ("data:image/png;base64,AAAA", "is a URL"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, uri: str, reason: str
) -> None:
    media_dir = tmp_path / "media"
    media_dir.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (media_dir / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (media_dir / "loop").symlink_to(media_dir / "loop")
    (media_dir / "a.jpg").write_bytes(b"x")
    (media_dir / "empty.jpg").touch()
    with pytest.raises(BadSampleError, match=reason) as caught:
        resolve(uri, media_dir)
    assert len(caught.value.reason) < 400


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


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_measured_and_shown_upright(
    tmp_path: Path, suffix: str, orientation: int
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
    shown = load(path, (32, 48)).astype(int)
    assert shown.shape == (32, 48, 3)
    assert np.abs(shown[4:12, 4:20] - RED).max() < 10
    assert np.abs(shown[20:, 28:] - BLUE).max() < 10


def test_a_jpeg_decoded_small_looks_like_one_decoded_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    whole = coarse.resize((1200, 900), Image.Resampling.BICUBIC)
    whole.save(tmp_path / "a.jpg", quality=88)
    with Image.open(tmp_path / "a.jpg") as image:
        wanted = np.asarray(image.resize((280, 210), Image.Resampling.BICUBIC), dtype=float)
    error = np.mean((load(tmp_path / "a.jpg", (210, 280)) - wanted) ** 2)
    assert 10 * np.log10(255**2 / error) >= 45


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
def test_every_mode_comes_out_as_rgb(
    tmp_path: Path, image: Image.Image, wanted: tuple[int, int, int] | None
) -> None:
    suffix = "tif" if image.mode in ("CMYK", "F") else "png"
    image.save(tmp_path / f"a.{suffix}")
    pixels_HWC = load(tmp_path / f"a.{suffix}", (8, 8))
    if wanted is None:
        assert (pixels_HWC.min(), pixels_HWC.max()) == (0, 255)
    else:
        assert np.abs(pixels_HWC.astype(int) - wanted).max() <= 1


def test_a_clear_colour_of_a_palette_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=0)
    assert (load(tmp_path / "a.png", (8, 8)) == 255).all()


@pytest.mark.parametrize(
    "content", [b"hello, I am no picture", b"\xff\xd8\xff", b"%!PS-Adobe-3.0"]
)
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(BadSampleError, match=r"a\.jpg is no picture|a\.jpg cannot be decoded"):
        probe(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_picture_is_a_bad_sample_at_the_latest_when_loaded(
    tmp_path: Path, write_image: WriteImage, name: str, kept: float
) -> None:
    path = tmp_path / write_image(name, 300, 200)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(BadSampleError):  # noqa: PT012 - a header may lie before or behind the cut
        probe(path)
        load(path, (48, 64))


def test_a_picture_that_claims_too_many_pixels_is_never_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    Image.new("1", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    for side in (14_200, 30_000):
        content[18:26] = side.to_bytes(4, "little") * 2
        path.write_bytes(content)
        with pytest.raises(BadSampleError):
            probe(path)


def test_a_file_gone_since_it_was_indexed_is_the_stores_fault(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        load(tmp_path / "gone.jpg", (8, 8))
