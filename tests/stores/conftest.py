"""Stores to break: one server for all tests of this folder, a bucket and a road for each."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from orchestrator.object_store import Bounds, RemotePlace, open_remote
from orchestrator.storage import Store
from tests.stores.disks import SmallDisk, small_disk
from tests.stores.s3_server import Road, Server, credentials, s3_server

HASTY = Bounds(connect_s=1.0, silence_s=4.0, tries=2, put_s=6.0)


@dataclass
class Bucket:
    """A store behind a road."""

    server: Server
    road: Road
    store: Store

    def make(self) -> None:
        """Make the bucket; a server that was started again has none."""
        name, _, _ = self.store.url.removeprefix("s3://").partition("/")
        self.behind_the_road().place.filesystem.mkdir(name)  # type: ignore[attr-defined]

    def behind_the_road(self) -> Store:
        """The store as somebody sees it for whom the road is open."""
        # Not through the environment: clients of the road must not be given this address.
        filesystem = fsspec.filesystem(
            "s3", use_listings_cache=False, endpoint_url=self.server.url
        )
        return Store(self.store.url, RemotePlace(filesystem, self.store.url[len("s3://") :]))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    road = Road(server)
    for name, value in credentials(road.url).items():
        monkeypatch.setenv(name, value)
    # Clients of another test keep its road's address.
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    name = f"runs-{uuid.uuid4().hex}"
    url = f"s3://{name}/one"
    found = Bucket(server, road, Store(url, open_remote(url, HASTY)))
    found.make()
    yield found
    road.set("closed")
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        yield disk


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A healthy store of each kind."""
    if request.param == "local":
        return Store.open(str(tmp_path / "store"))
    found: Bucket = request.getfixturevalue("bucket")
    return found.store


@pytest.fixture
def environment() -> dict[str, str]:
    """For processes that a test starts; with what ``bucket`` has set."""
    return dict(os.environ)
