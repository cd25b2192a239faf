"""A server on this machine that answers as it is told."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator.data.places.answers import Patience

HASTY = Patience(waits_s=(0.01, 0.02), timeout_s=5.0)
"""Asks three times."""

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """One http server; paths that it was not told of are not found."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    first: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    """Answers that a path gives before its file, each once."""

    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Paths, with the range that was wanted."""

    takes_ranges: bool = True

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"


def refusal(status: int, **headers: str) -> Answer:
    """An answer of no content."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def _send(handler: BaseHTTPRequestHandler, data: bytes, wanted: str | None) -> None:
    if wanted is None:
        handler.send_response(200)
    else:
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        whole, start = len(data), int(first)
        if start >= whole:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{whole}")
            data = b""
        else:
            data = data[start : int(last) + 1 if last else None]
            handler.send_response(206)
            span = f"bytes {start}-{start + len(data) - 1}/{whole}"
            handler.send_header("Content-Range", span)
    handler.send_header("Content-Length", str(len(data)))
    handler.send_header("ETag", '"abc"')
    handler.end_headers()
    handler.wfile.write(data)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append((self.path, wanted))
            if server.first[self.path]:
                server.first[self.path].pop(0)(self)
            elif self.path in server.files:
                _send(self, server.files[self.path], wanted if server.takes_ranges else None)
            else:
                refusal(404)(self)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server(0)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(told))
    told.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    http.shutdown()
    http.server_close()
    thread.join(timeout=10)
    assert not thread.is_alive()
