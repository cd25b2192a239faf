"""A folder of loose images becomes a data file and a picture of each group."""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.data.grouping.group import GroupReport, group_images
from orchestrator.data.grouping.wanted import Grouping
from orchestrator.errors import ConfigError, DataError

NOON = datetime(2024, 5, 1, 12)


def paint(path: Path, colour: str = "#336699", taken_s: float | None = None) -> None:
    """A small picture, taken so many seconds after noon."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken_s is not None:
        taken = NOON + timedelta(seconds=taken_s)
        exif.get_ifd(0x8769).update(
            {0x9003: taken.strftime("%Y:%m:%d %H:%M:%S"), 0x9291: taken.strftime("%f")}
        )
    Image.new("RGB", (60, 40), colour).save(path, exif=exif)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two shoes, three hats, a bag, and a file that is no image."""
    folder = tmp_path / "photos"
    for name in ("shoe_1", "shoe_2", "hat_10", "hat_2", "hat_3", "bag_1"):
        paint(folder / f"{name}.jpg")
    (folder / "notes.txt").write_text("Taken in May.")
    return folder


def group(photos: Path, **wishes: Any) -> GroupReport:
    wishes.setdefault("how", "name")
    return group_images(photos, photos / "groups.jsonl", Grouping(**wishes))


def rows_of(report: GroupReport) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(report.data_file).read_text().splitlines()]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_groups_are_written_as_an_ordinary_data_file(photos: Path) -> None:
    report = group(photos, question="What is it?", answer="A hat.")
    assert rows_of(report)[0] == {
        "id": "hat",
        "images": ["hat_2.jpg", "hat_3.jpg", "hat_10.jpg"],
        "conversations": [
            {
                "role": "user",
                "content": "You are given 3 images.\nImage 1: <image>\nImage 2: <image>\n"
                "Image 3: <image>\n\nWhat is it?",
            },
            {"role": "assistant", "content": "A hat."},
        ],
    }
    assert report.media_dir == str(photos.resolve())
    assert (report.groups, report.images, report.sizes) == (2, 5, {2: 1, 3: 1})
    assert (report.unanswered, report.other_files) == (0, 1)
    assert [one.name for one in report.left_out] == ["bag_1.jpg"]


def test_without_a_template_the_job_is_left_to_introduce_the_images(photos: Path) -> None:
    report = group(photos, template=None, question="What is it?")
    (turn,) = rows_of(report)[0]["conversations"]
    assert turn == {"role": "user", "content": "What is it?"}
    assert report.unanswered == 2


def test_paths_start_beside_the_data_file_or_else_at_the_images(
    photos: Path, tmp_path: Path
) -> None:
    above = group_images(photos, tmp_path / "all.jsonl", Grouping(how="name"))
    assert rows_of(above)[1]["images"] == ["photos/shoe_1.jpg", "photos/shoe_2.jpg"]
    assert above.media_dir == str(tmp_path.resolve())
    aside = group_images(photos, tmp_path / "aside" / "all.jsonl", Grouping(how="name"))
    assert rows_of(aside)[1]["images"] == ["shoe_1.jpg", "shoe_2.jpg"]
    assert aside.media_dir == str(photos.resolve())


def test_the_same_again_gives_the_same_files_byte_for_byte(photos: Path) -> None:
    group(photos)
    before = files_of(photos)
    # Its own contact sheets are no images to group.
    group(photos)
    assert files_of(photos) == before
    assert {"groups_sheets/00001-hat.jpg", "groups_sheets/00002-shoe.jpg"} <= set(before)


def test_a_run_that_was_stopped_leaves_nothing_that_is_taken_for_an_image(
    photos: Path,
) -> None:
    def stop(_done: int, _total: int, word: str) -> None:
        if word == "sheets":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        group_images(photos, photos / "groups.jsonl", Grouping(how="folder"), stop)
    assert "groups_sheets/00001-photos.jpg" in files_of(photos)
    report = group(photos)
    assert {name for name in files_of(photos) if name.endswith(".jpg") and "/" in name} == {
        "groups_sheets/00001-hat.jpg", "groups_sheets/00002-shoe.jpg",
    }  # fmt: skip
    assert report.images == 5


def test_sheets_that_are_none_any_more_go(photos: Path) -> None:
    group(photos)
    group(photos, how="folder")
    sheets = {name for name in files_of(photos) if name.endswith(".jpg") and "/" in name}
    assert sheets == {"groups_sheets/00001-photos.jpg"}


def test_answers_filled_in_by_hand_are_not_written_over(photos: Path) -> None:
    report = group(photos)
    data_file = Path(report.data_file)
    data_file.write_text(data_file.read_text().replace("What can", "What else can"))
    mine = data_file.read_text()
    with pytest.raises(DataError) as caught:
        group(photos)
    assert "not as this command wrote it" in caught.value.problem
    assert "--force" in caught.value.fix
    assert data_file.read_text() == mine
    group(photos, force=True)
    assert data_file.read_text() != mine


def test_a_file_that_something_else_wrote_is_not_written_over(photos: Path) -> None:
    (photos / "groups.jsonl").write_text("")
    with pytest.raises(DataError, match="is there already"):
        group(photos)


def test_a_table_answers_groups(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("image,answer\nhat_3.jpg,Hats.\ncap.jpg,A cap.\n")
    report = group(photos, answers=tmp_path / "answers.csv")
    assert [len(row["conversations"]) for row in rows_of(report)] == [2, 1]
    assert report.unanswered == 1
    assert report.notes == ("answers for no group: 1 (image cap.jpg)",)


def test_bad_images_are_named_with_their_reason_and_never_end_the_run(photos: Path) -> None:
    whole = (photos / "shoe_1.jpg").read_bytes()
    (photos / "shoe_3.jpg").write_bytes(b"")
    (photos / "shoe_4.png").write_bytes(b"<svg/>")
    (photos / "hat_4.jpg").write_bytes(whole[: len(whole) - 200])
    (photos / "hat_5.dat").write_bytes(whole)
    (photos / "hat_6.jpg").symlink_to(photos.parent / "elsewhere.jpg")
    paint(photos.parent / "elsewhere.jpg")
    (photos / os.fsdecode(b"hat_\xff.jpg")).write_bytes(whole)
    report = group(photos)
    reasons = {one.name: one.reason for one in report.left_out}
    assert "empty" in reasons.pop("shoe_3.jpg")
    assert "no picture of a kind we read" in reasons.pop("shoe_4.png")
    assert "cannot be decoded" in reasons.pop("hat_4.jpg")
    assert "leads out" in reasons.pop("hat_6.jpg")
    assert "Unicode" in reasons.pop("hat_?.jpg")
    assert set(reasons) == {"bag_1.jpg"}
    # By content: an ending says nothing.
    assert rows_of(report)[0]["images"] == [
        "hat_2.jpg", "hat_3.jpg", "hat_5.dat", "hat_10.jpg",
    ]  # fmt: skip
    listed = (Path(report.sheets) / "left_out.jsonl").read_text().splitlines()
    assert len(listed) == len(report.left_out)


def test_a_group_that_loses_its_images_to_decoding_is_listed_whole(photos: Path) -> None:
    whole = (photos / "shoe_1.jpg").read_bytes()
    (photos / "shoe_1.jpg").write_bytes(whole[: len(whole) - 200])
    report = group(photos)
    assert [row["id"] for row in rows_of(report)] == ["hat"]
    assert {one.name for one in report.left_out} == {"shoe_1.jpg", "shoe_2.jpg", "bag_1.jpg"}


def test_images_are_grouped_by_when_they_were_taken(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name, taken_s in (("d", 0.0), ("c", 1.75), ("b", 1.25), ("a", 300.0), ("z", None)):
        paint(photos / f"{name}.jpg", taken_s=taken_s)
    os.utime(photos / "z.jpg", times=((NOON + timedelta(seconds=301)).timestamp(),) * 2)
    report = group(photos, how="time", gap_s=10)
    assert [row["images"] for row in rows_of(report)] == [["d.jpg", "b.jpg", "c.jpg"]]
    reasons = {one.name: one.reason for one in report.left_out}
    assert "no time of capture" in reasons["z.jpg"]
    # A file's time is a guess, so that one has to ask for it.
    report = group(photos, how="time", gap_s=10, use_file_time=True)
    assert rows_of(report)[0]["images"] == ["a.jpg", "z.jpg"]


def test_images_are_grouped_by_how_they_look(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    ramp = Image.linear_gradient("L")
    for name, turns in (("a1", 0), ("b1", 1), ("a2", 0), ("b2", 1)):
        photos.mkdir(exist_ok=True)
        ramp.rotate(90 * turns).save(photos / f"{name}.png")
    (photos / "c.png").write_bytes((photos / "a1.png").read_bytes()[:60])
    report = group(photos, how="look")
    assert [row["images"] for row in rows_of(report)] == [
        ["a1.png", "a2.png"], ["b1.png", "b2.png"],
    ]  # fmt: skip
    assert [one.name for one in report.left_out] == ["c.png"]


def test_progress_says_what_is_done_of_what(photos: Path) -> None:
    said: list[tuple[int, int, str]] = []
    wanted = Grouping(how="look")
    group_images(photos, photos / "g.jsonl", wanted, lambda *step: said.append(step))
    assert {word for _, _, word in said} == {"files", "images", "sheets"}
    assert said[6] == (7, 7, "files")


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        ({"max_size": 1}, "max_size (1) is below min_size (2)"),
        ({"min_size": 0}, "min_size is 0"),
        ({"gap_s": float("nan")}, "gap_s is nan"),
        ({"distance": 65}, "distance is 65"),
        ({"question": "Is <image> it?"}, "the question holds <image>"),
        ({"template": None}, "neither a template nor a question"),
        ({"template": "comparisn"}, "did you mean comparison?"),
        ({"pattern": "("}, "no regular expression"),
    ],
)
def test_a_wish_that_cannot_be_met_is_said_before_any_work(
    photos: Path, wishes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        group(photos, **wishes)
    assert problem in caught.value.problem
    assert not (photos / "groups.jsonl").exists()


def test_a_template_that_asks_nothing_needs_a_question(photos: Path) -> None:
    own = photos.parent / "own.txt"
    own.write_text("{numbered_images} {instruction}")
    with pytest.raises(ConfigError, match="nothing is asked"):
        group(photos, template=str(own))
    assert rows_of(group(photos, template=str(own), question="Why?"))


def test_a_folder_without_an_image_is_refused_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        group(tmp_path / "nowhere")
    (tmp_path / "a.jpg").write_text("x")
    with pytest.raises(DataError, match=r"no image that can be used, of 1 files; a\.jpg"):
        group(tmp_path)
