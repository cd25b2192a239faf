"""A real S3 server in a process of its own, and a road to it that can be closed."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

START_S = 60.0
BUCKET = "runs"
Mode: TypeAlias = Literal["open", "closed", "answers lost", "slow"]


class Server:
    """The server. It forgets everything when it stops, and nothing while it is frozen."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "server.log"
        self.process = self._launched()

    def _launched(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", "from moto.server import main; main()"]
        command += ["-H", "127.0.0.1", "-p", str(self.port)]
        quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
        with self._log.open("a") as out:
            process = subprocess.Popen(command, env=quiet, stdout=out, stderr=out)
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            assert process.poll() is None, self._log.read_text()
            with suppress(OSError), urllib.request.urlopen(self.url, timeout=2):
                return process
            time.sleep(0.05)
        process.kill()
        pytest.fail(f"no server after {START_S} s: {self._log.read_text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """A line a request."""
        return self._log.read_text()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def start(self) -> None:
        self.process = self._launched()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Road:
    """A relay between clients and the server: what a network can do, without asking it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.port = free_port()
        self.mode: Mode = "open"
        self.num_lost = 0
        self._socks: set[socket.socket] = set()
        self._listener = self._listening()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, mode: Mode) -> None:
        """Change what the road does, also to those on it."""
        was, self.mode = self.mode, mode
        if mode == "closed":
            # An accept that is under way keeps a closed socket open: wake it first.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for sock in list(self._socks):
                hang_up(sock)
        elif was == "closed":
            self._listener = self._listening()

    def _listening(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server.port), 10)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self._socks |= {client, server}
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:  # noqa: FBT001 - a thread's arguments
        with suppress(OSError):
            while data := source.recv(65_536):
                # Leave to send a body is no answer yet.
                if is_answer and self.mode == "answers lost" and b"100 Continue" not in data:
                    self.num_lost += 1
                    break
                if self.mode == "slow":
                    time.sleep(0.1)
                target.sendall(data)
        for sock in (source, target):
            hang_up(sock)
            self._socks.discard(sock)


def hang_up(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def s3_server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        yield server
    finally:
        server.thaw()
        server.stop()


def credentials(url: str) -> dict[str, str]:
    """What the environment says for ``s3://`` to mean this server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
