"""Bytes of media, whole and in part, from a disk, a bucket and the web."""

import io
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from tests.unit.data.places.conftest import HASTY, Server

DATA = np.random.default_rng(0).bytes(300_000)


@pytest.fixture(params=["disk", "bucket", "web"])
def url(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> Iterator[str]:
    """Where ``DATA`` is."""
    if request.param == "disk":
        (tmp_path / "a.bin").write_bytes(DATA)
        yield str(tmp_path / "a.bin")
    elif request.param == "bucket":
        name = f"memory://{uuid.uuid4().hex}/a.bin"
        fsspec.filesystem("memory").pipe_file(name, DATA)
        yield name
        fsspec.filesystem("memory").rm(name)
    else:
        server.files["/a.bin"] = DATA
        yield server.url("/a.bin")


SPANS = [(0, None), (0, 10), (1000, 200_000), (131_000, 200), (299_000, None)]


@pytest.mark.parametrize(("offset", "length"), SPANS)
def test_content_is_what_lies_in_its_range(url: str, offset: int, length: int | None) -> None:
    wanted = DATA[offset : None if length is None else offset + length]
    content = Content("a", Location(url, offset, length), patience=HASTY)
    assert content.read() == wanted
    with content.open() as file:
        assert file.read() == wanted
        assert file.read(1) == b""
        assert file.seek(-7, io.SEEK_END) == len(wanted) - 7
        assert file.read(3) == wanted[-7:-4]
        assert file.seek(1, io.SEEK_CUR) == file.tell() == len(wanted) - 3
        assert file.read() == wanted[-3:]
        assert file.seek(5) == 5
        assert file.read(2) == wanted[5:7]
        assert file.seek(10_000_000) == 10_000_000
        assert file.read(5) == b""


def test_content_that_is_a_whole_local_file_has_a_path() -> None:
    assert Content("a", Location("/data/a.jpg")).path == Path("/data/a.jpg")
    assert Content("a", Location("/data/a.tar", 512, 100)).path is None
    assert Content("a", Location("/data/a.tar", 512)).path is None
    assert Content("a", Location("s3://bucket/a.jpg")).path is None


def test_what_is_not_there_is_missing_and_what_ends_early_is_bad(url: str) -> None:
    gone = Content("b.mp4", Location(f"{url}.none"), "video", HASTY)
    with pytest.raises(MissingMediumError, match=r"video 'b\.mp4' not found"):
        gone.read()
    with (
        pytest.raises(MissingMediumError, match=r"video 'b\.mp4' not found"),
        gone.open() as file,
    ):
        file.read(1)
    with pytest.raises(BadSampleError, match="ends at byte 300010 of a file of 300000"):
        Content("a", Location(url, 299_990, 20), patience=HASTY).read()
    with pytest.raises(BadSampleError, match="is empty"):
        Content("a", Location(url, 300_000), patience=HASTY).read()


def test_a_header_of_a_large_picture_takes_one_block(server: Server) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format="JPEG", quality=95)
    server.files["/a.jpg"] = file.getvalue()
    assert len(file.getvalue()) > 500_000
    content = Content("a.jpg", Location(server.url("/a.jpg")), patience=HASTY)
    with content.open() as remote, Image.open(remote) as image:
        assert image.size == (900, 900)
    assert server.asked == [("/a.jpg", "bytes=0-131071")]
    with content.open() as remote, Image.open(remote) as image:
        assert np.abs(np.asarray(image, dtype=int) - noise).mean() < 60
    with Image.open(file) as local:
        assert local.size == (900, 900)


def test_who_reads_on_is_sent_more_at_once(server: Server) -> None:
    server.files["/a.bin"] = DATA * 10
    with Content("a", Location(server.url("/a.bin")), patience=HASTY).open() as file:
        while file.read(1000):
            pass
    assert len(server.asked) == 5
    assert server.asked[2] == ("/a.bin", f"bytes={3 * 131_072}-{7 * 131_072 - 1}")


places = st.integers(0, 320_000)


@given(st.lists(st.tuples(places, st.integers(1, 150_000)), max_size=8), places, places)
def test_reading_anywhere_in_a_remote_range_is_like_reading_a_local_one(
    reads: list[tuple[int, int]], offset: int, length: int
) -> None:
    fsspec.filesystem("memory").pipe_file("memory://any/a.bin", DATA)
    content = Content("a", Location("memory://any/a.bin", offset, length))
    wanted = io.BytesIO(DATA[offset : offset + length])
    with content.open() as file:
        for place, num_bytes in reads:
            assert file.seek(place) == wanted.seek(place)
            assert file.read(num_bytes) == wanted.read(num_bytes)
