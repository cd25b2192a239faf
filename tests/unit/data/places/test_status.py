"""In which state media are, on a disk and behind a URL."""

import errno
import os
import uuid
from pathlib import Path

import fsspec
import pytest

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError
from orchestrator.data.places.disk import disk_faults
from orchestrator.data.places.location import Location
from orchestrator.data.places.status import Status, status
from orchestrator.errors import StorageError


@pytest.fixture(params=["disk", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an object of 100 bytes."""
    if request.param == "disk":
        (tmp_path / "a.jpg").write_bytes(bytes(range(100)))
        return str(tmp_path / "a.jpg")
    url = f"memory://{uuid.uuid4().hex}/a.jpg"
    fsspec.filesystem("memory").pipe_file(url, bytes(range(100)))
    return url


def test_a_medium_has_its_bytes_and_a_key_that_changes_with_it(place: str) -> None:
    first = status(Location(place), "a.jpg")
    assert first.num_bytes == 100
    assert status(Location(place), "a.jpg") == first
    with fsspec.open(place, "wb") as file:
        file.write(b"x" * 100)
    second = status(Location(place), "a.jpg")
    assert second.num_bytes == 100
    assert second.key != first.key


def test_a_local_key_is_bytes_and_time_of_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    os.utime(tmp_path / "a", ns=(5, 7_000_000_001))
    assert status(Location(f"{tmp_path}/a"), "a") == Status(3, "3:7000000001")


def test_a_range_has_its_own_bytes_and_the_key_of_the_whole(place: str) -> None:
    whole = status(Location(place), "a.jpg")
    assert status(Location(place, 10, 20), "a") == Status(20, whole.key)
    assert status(Location(place, 10), "a") == Status(90, whole.key)
    for span in ((90, 20), (200, 1)):
        with pytest.raises(BadSampleError, match=r"image 'a' ends at byte"):
            status(Location(place, *span), "a")
    for none in ((100, None), (10, 0)):
        with pytest.raises(BadSampleError, match=r"image 'a' is empty"):
            status(Location(place, *none), "a")


def test_what_is_not_there_is_missing(place: str) -> None:
    with pytest.raises(MissingMediumError, match=r"video 'b\.mp4' not found"):
        status(Location(f"{place}.none"), "b.mp4", "video")


def test_a_folder_is_no_file(place: str) -> None:
    with pytest.raises(BadSampleError, match=r"image 'a' is no file"):
        status(Location(place.removesuffix("/a.jpg")), "a")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOENT, MissingMediumError),
        (errno.ELOOP, MissingMediumError),
        (errno.EIO, StorageError),
        (errno.EACCES, StorageError),
        (errno.ESTALE, StorageError),
        (errno.ETIMEDOUT, StorageError),
    ],
)
def test_a_disk_that_fails_is_told_from_a_file_that_is_not_there(
    code: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind), disk_faults("/mnt/a.jpg", "image 'a.jpg'"):
        raise OSError(code, "as the system says it")
