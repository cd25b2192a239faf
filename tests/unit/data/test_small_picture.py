"""Pictures made small."""

from pathlib import Path

import pytest
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.small_picture import small_picture


def content(path: Path) -> Content:
    return Content(path.name, Location(str(path)))


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((400, 100), (64, 16)),
        ((100, 400), (16, 64)),
        ((40, 30), (40, 30)),
        ((1000, 1), (64, 1)),
    ],
)
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_the_longer_side_is_as_long_as_asked_for_at_most(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int], ending: str
) -> None:
    Image.new("RGB", size, "#336699").save(tmp_path / f"a.{ending}")
    found = small_picture(content(tmp_path / f"a.{ending}"), 64)
    assert (found.size, found.mode) == (small, "RGB")


def test_it_is_shown_the_right_way_up_over_white(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (40, 20), (0, 0, 0, 0)).save(tmp_path / "a.png", exif=exif)
    found = small_picture(content(tmp_path / "a.png"), 64)
    assert found.size == (20, 40)
    assert found.getpixel((0, 0)) == (255, 255, 255)


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    Image.new("L", (101, 100)).save(tmp_path / "a.png")
    with pytest.raises(BadSampleError, match="101 x 100"):
        small_picture(content(tmp_path / "a.png"), 64, max_source_pixels=10_000)
