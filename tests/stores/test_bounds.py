"""An object store that is away or stands still: how long a caller waits, and what it hears."""

import time
from collections.abc import Callable

import fsspec
import pytest

from orchestrator.errors import StorageError
from orchestrator.object_store import Bounds, RemotePlace, open_remote
from orchestrator.storage import Store
from tests.stores.conftest import HASTY, Bucket

CALLS: dict[str, Callable[[Store], object]] = {
    "read": lambda store: store.read("a"),
    "write": lambda store: store.write("a", b"new"),
    "create": lambda store: store.create("b", b"new"),
    "append": lambda store: store.append("log", "line"),
    "read_lines": lambda store: store.read_lines("log"),
    "exists": lambda store: store.exists("b"),
    "list": lambda store: store.list(),
    "stamps": lambda store: store.stamps(""),
    "delete": lambda store: store.delete("b"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.timeout(60)
def test_a_store_that_cannot_be_reached_is_an_error_and_never_an_empty_store(
    bucket: Bucket, call: str
) -> None:
    bucket.store.write("a", b"old")
    bucket.road.set("closed")
    begun_s = time.monotonic()
    with pytest.raises(StorageError):
        CALLS[call](bucket.store)
    assert time.monotonic() - begun_s < 20
    bucket.road.set("open")
    CALLS[call](bucket.store)
    assert bucket.store.read("a") in (b"old", b"new")


@pytest.mark.parametrize("call", ["exists", "write", "create"])
@pytest.mark.timeout(180)
def test_a_server_that_stands_still_holds_a_caller_for_no_longer_than_we_say(
    bucket: Bucket, call: str
) -> None:
    bucket.store.write("a", b"old")
    bucket.server.freeze()
    begun_s = time.monotonic()
    try:
        with pytest.raises(StorageError):
            CALLS[call](bucket.store)
    finally:
        bucket.server.thaw()
    putting_s = HASTY.putting_s(100)
    # A put that may have gone through is followed by a look.
    bounds_s = {
        "exists": HASTY.reading_s,
        "write": putting_s,
        "create": putting_s + HASTY.reading_s,
    }
    assert time.monotonic() - begun_s < bounds_s[call] + 2
    assert bucket.store.read("a") in (b"old", b"new")


def test_a_run_s_store_waits_half_a_minute_and_longer_only_for_what_is_large() -> None:
    place = Store.open("s3://bucket/run").place
    assert isinstance(place, RemotePlace)
    assert place.bounds.reading_s == 33
    assert place.bounds.putting_s(0) == 20
    assert place.bounds.putting_s(300 << 20) == 320


@pytest.mark.timeout(120)
def test_an_upload_that_breaks_off_leaves_no_object_and_no_parts(bucket: Bucket) -> None:
    bucket.road.set("answers lost")
    store = Store(bucket.store.url, open_remote(bucket.store.url, Bounds(tries=1)))
    with pytest.raises(StorageError):
        store.write("large", b"\0" * (150 << 20))
    bucket.road.set("closed")
    bucket.road.set("open")
    filesystem = fsspec.filesystem("s3", use_listings_cache=False)
    name = bucket.store.url.removeprefix("s3://").partition("/")[0]
    uploads = filesystem.call_s3("list_multipart_uploads", Bucket=name)
    assert not uploads.get("Uploads")
    # Only its answer was lost: what is there, is whole.
    assert [stamp.size for stamp in store.stamps("").values()] in ([], [150 << 20])
