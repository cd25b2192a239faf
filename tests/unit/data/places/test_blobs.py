"""Content out of rows, kept in files."""

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.places.blobs import write_blob
from orchestrator.data.places.content import Content
from orchestrator.data.places.status import status
from orchestrator.storage import Store


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    is_disk = request.param == "disk"
    return Store.open(str(tmp_path / "blobs") if is_disk else f"memory://{uuid.uuid4().hex}")


def test_contents_are_ranges_of_one_object_and_equal_ones_the_same(store: Store) -> None:
    contents = [b"first", b"second", b"first", b"x" * 1000]
    places = write_blob(store, contents)
    assert [Content("a", place).read() for place in places] == contents
    assert [status(place, "a").num_bytes for place in places] == [5, 6, 5, 1000]
    assert places[0] == places[2]
    assert [len(store.read(name)) for name in store.list()] == [1011]


def test_the_same_contents_are_written_once(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    places = write_blob(store, [b"first", b"second"])
    written = Path(places[0].url).stat()
    assert write_blob(store, [b"first", b"second"]) == places
    assert Path(places[0].url).stat().st_mtime_ns == written.st_mtime_ns
    assert write_blob(store, [b"second"])[0].url != places[0].url
    assert len(store.list()) == 2


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=12))
def test_every_content_comes_back_whole(contents: list[bytes]) -> None:
    store = Store.open("memory://blobs")
    places = write_blob(store, contents)
    assert {place.url for place in places} == {
        f"memory://blobs/{name}" for name in [places[0].url.rpartition("/")[2]]
    }
    for content, place in zip(contents, places, strict=True):
        assert place.length == len(content)
        data = store.read(place.url.rpartition("/")[2])
        assert data[place.offset : place.offset + len(content)] == content
