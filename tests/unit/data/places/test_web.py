"""A server that answers late, wrongly, elsewhere or not at all."""

import socket
import time
from http.server import BaseHTTPRequestHandler

import pytest

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError
from orchestrator.data.places.answers import Patience
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.places.status import Status, status
from orchestrator.errors import StorageError
from tests.unit.data.places.conftest import HASTY, Server, refusal


def content(server: Server, path: str = "/a.jpg") -> Content:
    return Content("a.jpg", Location(server.url(path)), patience=HASTY)


def state(server: Server) -> Status:
    return status(Location(server.url("/a.jpg")), "a.jpg", patience=HASTY)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(server: Server, code: int) -> None:
    server.files["/a.jpg"] = b"picture"
    server.first["/a.jpg"] = [refusal(code), refusal(code)]
    assert content(server).read() == b"picture"
    assert len(server.asked) == 3


def test_a_server_that_stays_busy_fails_after_a_bounded_number_of_tries(
    server: Server,
) -> None:
    server.first["/a.jpg"] = [refusal(503)] * 9
    with pytest.raises(StorageError, match=r"asked 3 times \(status 503\)") as caught:
        content(server).read()
    assert caught.value.where == server.url("/a.jpg")
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("code", "why"),
    [(400, "refused"), (401, "read"), (403, "not be read"), (404, "not found"), (410, "gone")],
)
def test_what_is_gone_for_good_is_asked_for_once(server: Server, code: int, why: str) -> None:
    server.first["/a.jpg"] = [refusal(code)]
    with pytest.raises(MissingMediumError, match=rf"image 'a\.jpg' .*{why} \({code}\)"):
        content(server).read()
    server.first["/a.jpg"] = [refusal(code)]
    with pytest.raises(MissingMediumError):
        state(server)
    assert len(server.asked) == 2


def _hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.5)
    handler.close_connection = True


def test_a_server_that_hangs_is_asked_again(server: Server) -> None:
    server.files["/a.jpg"] = b"picture"
    server.first["/a.jpg"] = [_hang]
    hasty = Patience(waits_s=(0.01,), timeout_s=0.1)
    assert Content("a", Location(server.url("/a.jpg")), patience=hasty).read() == b"picture"
    server.first["/a.jpg"] = [_hang, _hang]
    with pytest.raises(StorageError, match="timed out"):
        Content("a", Location(server.url("/a.jpg")), patience=hasty).read()


def _break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half a picture")
    handler.close_connection = True


def test_an_answer_that_breaks_off_is_asked_for_again(server: Server) -> None:
    server.files["/a.jpg"] = b"picture"
    server.first["/a.jpg"] = [_break_off]
    assert content(server).read() == b"picture"


def test_no_server_is_no_answer() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/a.jpg"
        with pytest.raises(StorageError, match="asked 3 times"):
            Content("a", Location(url), patience=HASTY).read()


def test_a_redirect_is_followed_on_the_same_host_only(server: Server) -> None:
    server.files["/b.jpg"] = b"picture"
    server.first["/a.jpg"] = [refusal(302, Location="/b.jpg")]
    assert content(server).read() == b"picture"
    for elsewhere in (
        f"http://localhost:{server.port}/b.jpg",
        f"//localhost:{server.port}/b.jpg",
        "http://127.0.0.1/b.jpg",
        f"https://{server.host}/b.jpg",
        f"http://user@{server.host}/b.jpg",
        f"http://localhost\\@{server.host}/b.jpg",
        "file:///etc/passwd",
    ):
        server.asked.clear()
        server.first["/a.jpg"] = [refusal(307, Location=elsewhere)]
        with pytest.raises(BadSampleError, match="is redirected to"):
            content(server).read()
        assert server.asked == [("/a.jpg", None)]


def test_a_redirect_without_end_ends(server: Server) -> None:
    server.first["/a.jpg"] = [refusal(301, Location="/a.jpg")] * 99
    with pytest.raises(BadSampleError, match="redirected without end"):
        content(server).read()
    assert len(server.asked) == 6


def test_a_server_without_ranges_still_gives_them(server: Server) -> None:
    server.takes_ranges = False
    server.files["/a.jpg"] = bytes(range(256)) * 1000
    part = Content("a", Location(server.url("/a.jpg"), 700, 80), patience=HASTY)
    assert part.read() == server.files["/a.jpg"][700:780]
    with content(server).open() as file:
        file.seek(200_000)
        assert file.read(5) == server.files["/a.jpg"][200_000:200_005]
    assert state(server) == Status(256_000, '256000:"abc"')


def test_the_state_is_asked_for_without_the_content(server: Server) -> None:
    server.files["/a.jpg"] = b"picture"
    assert state(server) == Status(7, '7:"abc"')
    assert server.asked == [("/a.jpg", "bytes=0-0")]
    server.files["/a.jpg"] = b""
    with pytest.raises(BadSampleError, match="is empty"):
        state(server)


def _without_length(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Last-Modified", "yesterday")
    handler.end_headers()
    handler.wfile.write(b"picture")
    handler.close_connection = True


def test_a_server_that_does_not_tell_the_size_is_read_to_the_end(server: Server) -> None:
    server.first["/a.jpg"] = [_without_length]
    assert state(server) == Status(7, "7:yesterday")


def _another_range(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", "bytes 0-2/7")
    handler.send_header("Content-Length", "3")
    handler.end_headers()
    handler.wfile.write(b"pic")


def test_bytes_of_another_range_are_never_taken_for_those_asked_for(server: Server) -> None:
    server.first["/a.jpg"] = [_another_range] * 3
    part = Content("a", Location(server.url("/a.jpg"), 4, 3), patience=HASTY)
    with pytest.raises(StorageError, match="another range"):
        part.read()


def test_connections_are_used_again(server: Server) -> None:
    server.files["/a.jpg"] = b"picture"
    ports: set[int] = set()

    def noted(handler: BaseHTTPRequestHandler) -> None:
        ports.add(handler.client_address[1])
        refusal(404)(handler)

    for _ in range(4):
        server.first["/b.jpg"] = [noted]
        assert content(server).read() == b"picture"
        with pytest.raises(MissingMediumError):
            content(server, "/b.jpg").read()
    assert len(ports) == 1
