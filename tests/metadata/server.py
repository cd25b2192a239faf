"""A metadata service on loopback, over real sockets: it can be slow, wrong or absent."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Protocol


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class Cloud(Protocol):
    def answer(self, method: str, path: str, headers: Mapping[str, str], /) -> Reply: ...


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    service: "Service"

    def handle_error(self, *_: Any) -> None:
        """Whoever asked did not wait."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        service = self.server.service
        service.asked.append(f"{self.command} {self.path}")
        reply = service.reply(self.command, self.path, self.headers)
        time.sleep(reply.delay_s)
        self.send_response_only(reply.status)
        date = service.date()
        for name, value in {"Date": date, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_PUT = do_GET

    def log_message(self, *_: Any) -> None:
        """Nothing: ``asked`` says it."""


@dataclass
class Service:
    """A cloud's service that listens while it is started."""

    cloud: Any
    now_s: Callable[[], float] = time.time
    """What it holds for the time."""
    faults: dict[str, Reply] = field(default_factory=dict)
    """What is answered instead, by the beginning of the path."""
    asked: list[str] = field(default_factory=list)
    port: int = 0
    _server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def date(self) -> str:
        return formatdate(int(self.now_s()), usegmt=True)

    def reply(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        for beginning, fault in self.faults.items():
            if path.startswith(beginning):
                return fault
        return self.cloud.answer(method, path, headers)

    def start(self) -> "Service":
        server = Server(("127.0.0.1", self.port), Handler)
        server.service, self._server, self.port = self, server, server.server_port
        Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        return self

    def stop(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> "Service":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
