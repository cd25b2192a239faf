"""Many media at once."""

import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from orchestrator.data.bad_sample import MissingMediumError
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.places.reading import read_all
from orchestrator.errors import StorageError
from tests.unit.data.places.conftest import HASTY, Server, refusal


def of(url: str) -> Content:
    return Content("a", Location(url), patience=HASTY)


def test_media_come_in_order_with_what_is_missing_in_its_place(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "local").write_bytes(b"local")
    urls = []
    for number in range(20):
        server.files[f"/{number}"] = b"%d" % number
        urls += [server.url(f"/{number}"), str(tmp_path / "local"), server.url("/none")]
    found = read_all([of(url) for url in urls], limit=4)
    assert found[::3] == [b"%d" % number for number in range(20)]
    assert set(found[1::3]) == {b"local"}
    assert all(isinstance(each, MissingMediumError) for each in found[2::3])
    assert read_all([]) == []
    local = read_all([of(f"{tmp_path}/local"), of(f"{tmp_path}/none")])
    assert local[0] == b"local"
    assert isinstance(local[1], MissingMediumError)


def test_no_more_are_read_at_once_than_allowed(server: Server) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def counted(handler: BaseHTTPRequestHandler) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        refusal(404)(handler)

    for number in range(12):
        server.first[f"/{number}"] = [counted]
    read_all([of(server.url(f"/{number}")) for number in range(12)], limit=3)
    assert most == [3]


def test_a_store_that_does_not_answer_ends_it_before_all_were_asked(server: Server) -> None:
    for number in range(50):
        server.first[f"/{number}"] = [refusal(503)] * 9
    with pytest.raises(StorageError, match="503"):
        read_all([of(server.url(f"/{number}")) for number in range(50)], limit=2)
    assert len(server.asked) < 50
