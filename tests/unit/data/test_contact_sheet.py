"""A group at one look."""

import io
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.data.contact_sheet import contact_sheet
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location

RED = (200, 30, 30)


def picture(path: Path, width: int = 120, height: int = 90) -> Content:
    Image.new("RGB", (width, height), RED).save(path)
    return Content(path.name, Location(str(path)))


def shares_of_red(jpeg: bytes) -> float:
    pixels = Image.open(io.BytesIO(jpeg)).convert("RGB").get_flattened_data()
    return sum(r > 180 and g < 60 and b < 60 for r, g, b in pixels) / len(pixels)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 2, 1), (2, 2, 1), (5, 3, 2)])
def test_every_image_has_a_tile_in_reading_order(
    tmp_path: Path, count: int, columns: int, rows: int
) -> None:
    sheet = contact_sheet("shoes", [picture(tmp_path / f"{n}.png") for n in range(count)])
    assert sheet.broken == ()
    width, height = Image.open(io.BytesIO(sheet.jpeg)).size
    assert (width, height) == (columns * 328 + 8, 28 + rows * 348)
    # Pictures that are small stay as small as they are.
    assert shares_of_red(sheet.jpeg) == pytest.approx(
        count * 120 * 90 / (width * height), rel=0.1
    )


def test_a_broken_image_is_marked_and_named(tmp_path: Path) -> None:
    good = picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"x")
    bad = Content("bad.png", Location(str(tmp_path / "bad.png")))
    sheet = contact_sheet("shoes", [good, bad])
    assert [one.place for one in sheet.broken] == [1]
    assert "bad.png" in sheet.broken[0].reason
    assert sheet.jpeg != contact_sheet("shoes", [good, good]).jpeg


def test_a_large_group_still_fits_a_screen(tmp_path: Path) -> None:
    one = picture(tmp_path / "a.png")
    width, _ = Image.open(io.BytesIO(contact_sheet("many", [one] * 400).jpeg)).size
    assert width <= 2100


@pytest.mark.parametrize("title", ["", "图片 鞋", "line\nend\0", "long " * 200])
def test_any_title_and_the_same_bytes_each_time(tmp_path: Path, title: str) -> None:
    one = picture(tmp_path / "a.png")
    assert contact_sheet(title, [one]) == contact_sheet(title, [one])
