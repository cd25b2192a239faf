"""WebDataset shards."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.data.conversation import MediaRef
from orchestrator.data.placing import parse
from orchestrator.data.sources import tar
from orchestrator.data.sources.record import Record
from orchestrator.errors import DataError
from tests.unit.data.sources.tars import File, write_tar

ROW = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}


def row(**more: Any) -> bytes:
    return json.dumps({**ROW, **more}).encode()


def contents(path: Path, record: Record) -> list[bytes]:
    """What the media of a row are, read where the row says."""
    assert record.fault is None
    media = parse(record).media
    assert all(ref.is_own and ref.uri == str(path) for ref in media)
    whole = path.read_bytes()
    return [whole[ref.offset : ref.offset + (ref.length or 0)] for ref in media]


def sample(key: str, *names: str, **more: Any) -> list[File]:
    """A row, and files that hold their own name."""
    files = [(f"{key}.{name}", name.encode()) for name in names]
    return [*files, (f"{key}.json", row(**more))]


LONG = "x" * 150


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("folder", ["", "./", "train/", "描述/", f"{LONG[:90]}/"])
def test_images_are_read_where_they_lie(
    tmp_path: Path, kind: int, folder: str, read: Any
) -> None:
    files = [*sample(f"{folder}000", "jpg"), *sample(f"{folder}001", "a.PNG", "b.webp")]
    path = write_tar(tmp_path / "shard.tar", files, kind)
    first, second = read(path)
    assert first.value["id"] == f"{folder}000"
    assert contents(path, first) == [b"jpg"]
    assert contents(path, second) == [b"a.PNG", b"b.webp"]


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_longer_than_a_header_holds_are_read(
    tmp_path: Path, kind: int, read: Any
) -> None:
    files = [*sample(f"{LONG}/{LONG}a", "jpg"), *sample(f"{LONG}/{LONG}b", "jpg")]
    path = write_tar(tmp_path / "shard.tar", files, kind)
    for rows in (1, 2):
        records = read(path, rows)
        assert [record.value["id"][-1] for record in records] == ["a", "b"]
        assert [contents(path, record) for record in records] == [[b"jpg"], [b"jpg"]]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [b"0.jpg", b"2.jpg", b"10.jpg", b"mp4"]),
        ({"images": []}, [b"0.jpg", b"2.jpg", b"10.jpg", b"mp4"]),
        ({"images": ["10.jpg", "s/7.0.jpg"], "videos": "7.mp4"}, [b"10.jpg", b"0.jpg", b"mp4"]),
    ],
)
def test_images_come_by_number_or_as_the_row_names_them(
    tmp_path: Path, more: dict[str, Any], expected: list[bytes], read: Any
) -> None:
    files = sample("s/7", "10.jpg", "2.jpg", "0.jpg", "mp4", "seg.npy", **more)
    path = write_tar(tmp_path / "shard.tar", files)
    assert contents(path, read(path)[0]) == expected


def test_parts_may_name_members(tmp_path: Path, read: Any) -> None:
    parts = [{"type": "image", "image": "b.jpg"}, "or", {"type": "image_url",
             "image_url": {"url": "a.jpg"}}, "?"]  # fmt: skip
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A"}]
    path = write_tar(tmp_path / "shard.tar", sample("7", "a.jpg", "b.jpg", messages=turns))
    assert contents(path, read(path)[0]) == [b"b.jpg", b"a.jpg"]


def test_a_single_image_goes_by_any_name(tmp_path: Path, read: Any) -> None:
    path = write_tar(tmp_path / "shard.tar", sample("7", "jpg", image="coco/train/7.jpg"))
    assert contents(path, read(path)[0]) == [b"jpg"]


def test_a_caption_is_an_answer_where_the_job_says_so(tmp_path: Path, read: Any) -> None:
    path = write_tar(tmp_path / "shard.tar", [("7.jpg", b"jpg"), ("7.txt", b"A cat.\n")])
    (record,) = read(path, columns={"response": "txt"})
    assert contents(path, record) == [b"jpg"]
    assert [turn.text for turn in parse(record).turns] == ["", "A cat."]
    with pytest.raises(DataError, match="but id, txt"):
        read(path)


def add_link(path: Path, name: str, kind: bytes) -> None:
    with tarfile.open(path, "a") as opened:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        opened.addfile(member)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused(tmp_path: Path, kind: bytes, read: Any) -> None:
    path = write_tar(tmp_path / "shard.tar", [*sample("6", "jpg"), ("7.json", row())])
    add_link(path, "7.jpg", kind)
    good, bad = read(path)
    assert good.fault is None
    assert "has a link in the tar, '7.jpg'" in str(bad.fault)


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (sample("7", "a.jpg", "b.jpg", images=["c.jpg"]), "'c.jpg' did not come with the row"),
        ([("7.json", b"{"), ("7.jpg", b"x")], "'7.json' cannot be read"),
        ([("7.json", b"[]")], "'7.json' is a JSON list"),
        ([("7.txt", b"\xff")], "'7.txt' cannot be read (not UTF-8 at byte 0)"),
    ],
)
def test_a_bad_sample_is_one_bad_row(
    tmp_path: Path, files: list[File], fault: str, read: Any
) -> None:
    path = write_tar(tmp_path / "shard.tar", [*sample("6"), *files, *sample("8")])
    before, bad, after = read(path)
    assert (before.fault, after.fault) == (None, None)
    assert fault in bad.fault
    assert bad.value["id"] == "7"
    assert bad.remedy


def test_sounds_are_not_left_out_without_a_word(tmp_path: Path, read: Any) -> None:
    path = write_tar(tmp_path / "shard.tar", sample("7", "jpg", "wav"))
    assert read(path)[0].value["audios"] == ["7.wav"]


@pytest.mark.parametrize(
    ("cut", "good", "reason"),
    [
        (2 * 1024 + 512 + 100, ["0"], "cut off within '1.jpg'"),
        (2 * 1024 + 300, ["0"], "truncated header"),
        (3 * 1024 + 512 + 2, ["0"], "cut off within '1.json'"),
        (4 * 1024 + 512 + 2, ["0", "1"], "cut off within '2.jpg'"),
    ],
)
def test_a_shard_that_is_cut_off_gives_what_came_before_and_says_where(
    tmp_path: Path, cut: int, good: list[str], reason: str, read: Any
) -> None:
    names = [name for key in "012" for name in (f"{key}.jpg", f"{key}.json")]
    files = [(name, row() if "json" in name else b"x" * 500) for name in names]
    path = write_tar(tmp_path / "shard.tar", files)
    path.write_bytes(path.read_bytes()[:cut])
    for rows in (1, 9):
        *whole, broken = read(path, rows)
        assert [record.value["id"] for record in whole] == good
        assert [record.row for record in (*whole, broken)] == list(range(1, len(good) + 2))
        assert reason in broken.fault


def test_rubbish_in_a_shard_is_a_break(tmp_path: Path, read: Any) -> None:
    path = write_tar(tmp_path / "shard.tar", [*sample("0", "jpg"), *sample("1", "jpg")])
    content = bytearray(path.read_bytes())
    content[2048 + 10] ^= 1
    path.write_bytes(content)
    assert [record.fault is None for record in read(path)] == [False]
    content[2048 + 10] ^= 1
    path.write_bytes(content)
    assert len(read(path)) == 2


def test_tars_put_together_are_read_to_the_end(tmp_path: Path, read: Any) -> None:
    parts = [write_tar(tmp_path / key, sample(key, "jpg")).read_bytes() for key in "ab"]
    path = tmp_path / "shard.tar"
    path.write_bytes(b"".join(parts))
    assert [contents(path, record) for record in read(path, rows=1)] == [[b"jpg"], [b"jpg"]]


def test_what_is_no_tar_is_an_error(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(b"<html>" * 1000)
    with pytest.raises(DataError, match="is no tar"):
        read(path)


NAMES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "d/c", "d.d/e"]), st.sampled_from(["jpg", "0.png", "txt"])
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    NAMES,
    st.integers(1, 4),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_any_runs_give_the_same_samples(
    tmp_path: Path, names: list[tuple[str, str]], rows_per_run: int, kind: int
) -> None:
    files = [(f"{key}.{suffix}", suffix.encode()) for key, suffix in names]
    path = str(write_tar(tmp_path / "shard.tar", files, kind))

    def read(rows: int) -> list[Record]:
        return [one for span in tar.cut(path, rows) for one in tar.read(path, span)]

    whole = read(1000)
    assert read(rows_per_run) == whole
    listed = tarfile.open(path)  # noqa: SIM115 - closed below
    with listed:
        places = {(one.offset_data, one.size) for one in listed if not one.name.endswith("txt")}
    found = [ref for record in whole for ref in record.members.values()]
    assert {(ref.offset, ref.length) for ref in found} <= places


def test_a_member_is_a_reference_of_our_own(tmp_path: Path, read: Any) -> None:
    path = write_tar(tmp_path / "shard.tar", sample("7", "jpg"))
    (ref,) = parse(read(path)[0]).media
    assert ref == MediaRef(str(path), "image", 512, 3, is_own=True)
