"""Against a real S3 server, in a process of its own."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError
from orchestrator.data.conversation import MediaRef
from orchestrator.data.places.answers import Patience
from orchestrator.data.places.blobs import write_blob
from orchestrator.data.places.buckets import _filesystem
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.places.places import Places
from orchestrator.data.places.status import status
from orchestrator.errors import StorageError
from orchestrator.storage import Store

HASTY = Patience(waits_s=(0.05, 0.1), timeout_s=5.0)
START_S = 60.0


@dataclass
class Server:
    """A process that can be stopped halfway, and then keeps its port to itself."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)


@contextmanager
def a_server(folder: Path) -> Iterator[Server]:
    """A server with nothing in it, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from moto.server import main; main()"]
    command += ["-H", "127.0.0.1", "-p", str(port)]
    log = folder / "server.log"
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with log.open("w") as out:
        process = subprocess.Popen(command, env=quiet, stdout=out, stderr=out)
    server = Server(process, f"http://127.0.0.1:{port}", log)
    try:
        _wait_for(server)
        yield server
    finally:
        server.stop()


def _wait_for(server: Server) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        assert server.process.poll() is None, server.log.read_text()
        with suppress(OSError), urllib.request.urlopen(server.url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"no server after {START_S} s: {server.log.read_text()}")


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, as what the environment says S3 is; with a bucket named media."""
    with a_server(tmp_path) as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        # Clients of another test keep its server's address.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        _filesystem.cache_clear()
        fsspec.filesystem("s3").mkdir("media")
        yield server
        _filesystem.cache_clear()


def a_picture(seed: int, side: int = 900) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format="JPEG", quality=95)
    return file.getvalue()


def put(name: str, data: bytes) -> str:
    fsspec.filesystem("s3").pipe_file(f"media/{name}", data)
    return name


def of(place: Location) -> Content:
    return Content(place.url, place, patience=HASTY)


@pytest.mark.timeout(300)
def test_media_in_a_bucket_are_found_measured_read_and_missed(s3: Server) -> None:
    places = Places("s3://media/set", roots=("s3://media/more",))
    pictures = [a_picture(seed, side=64) for seed in range(20)]
    names = [put(f"set/deep/{number} #?%.jpg", data) for number, data in enumerate(pictures)]
    refs = [MediaRef(name.removeprefix("set/")) for name in names]
    found = [places.locate(ref) for ref in refs]
    assert [status(place, "a").num_bytes for place in found] == list(map(len, pictures))
    assert [of(place).read() for place in found] == pictures
    first = status(found[0], "a")
    assert status(found[0], "a") == first
    put(names[0], pictures[1])
    assert status(found[0], "a").key != first.key
    _a_range_is_read_without_the_rest(s3, places)
    _what_is_not_there_is_missing(places)
    _inline_content_is_kept(pictures)
    s3.stop()
    _nobody_answers(found)


def _a_range_is_read_without_the_rest(s3: Server, places: Places) -> None:
    large = a_picture(0)
    assert len(large) > 500_000
    put("more/shard.tar", b"before" + large + b"after")
    put("more/large.jpg", large)
    whole = places.locate(MediaRef("s3://media/more/large.jpg"))
    member = places.locate(MediaRef("s3://media/more/shard.tar", offset=6, length=len(large)))
    logged = len(s3.log.read_text())
    with of(whole).open() as file, Image.open(file) as image:
        assert image.size == (900, 900)
    lines = [line for line in s3.log.read_text()[logged:].splitlines() if "large.jpg" in line]
    assert len(lines) == 1
    assert " 206 " in lines[0]
    assert of(member).read() == large
    with of(member).open() as file, Image.open(file) as image:
        image.load()
    assert status(member, "a").num_bytes == len(large)


def _what_is_not_there_is_missing(places: Places) -> None:
    gone = places.locate(MediaRef("none.jpg"))
    for ask in (lambda: status(gone, "none.jpg"), of(gone).read, of(gone).open().read):
        with pytest.raises(MissingMediumError, match="not found"):
            ask()
    with pytest.raises(BadSampleError, match="is no file"):
        status(places.locate(MediaRef("deep")), "deep")
    put("set/empty.jpg", b"")
    with pytest.raises(BadSampleError, match="is empty"):
        of(places.locate(MediaRef("empty.jpg"))).read()
    with pytest.raises(BadSampleError, match="leads out of media_dir"):
        places.locate(MediaRef("s3://other/a.jpg"))


def _inline_content_is_kept(pictures: list[bytes]) -> None:
    store = Store.open("s3://media/blobs")
    placed = write_blob(store, pictures)
    assert write_blob(store, pictures) == placed
    assert len(store.list()) == 1
    assert [of(place).read() for place in placed] == pictures


def _nobody_answers(found: list[Location]) -> None:
    begun_s = time.monotonic()
    with pytest.raises(StorageError, match="asked 3 times") as caught:
        of(found[0]).read()
    assert caught.value.where == found[0].url
    with pytest.raises(StorageError, match="asked 3 times"):
        status(found[0], "a", patience=HASTY)
    with pytest.raises(StorageError):
        of(found[1]).read()
    assert time.monotonic() - begun_s < 30
