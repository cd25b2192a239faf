"""The way to a cluster's head: what is said of it, and when nobody is there."""

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from orchestrator.cli.submitting import HERE
from orchestrator.cluster.submitting import Head
from orchestrator.errors import FaultError, InputError
from tests.faults.fleet import free_port


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # What connecting sets is this test's alone.
    for name in ("RAY_API_SERVER_ADDRESS", "NO_PROXY", "no_proxy", "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.mark.parametrize(
    ("address", "in_the_clear"),
    [
        (HERE, False),
        ("localhost:8265", False),
        ("http://[::1]:8265", False),
        ("https://ray.example.com", False),
        ("10.0.0.7:8265", True),
        ("http://ray.example.com:8265", True),
    ],
)
def test_a_token_that_would_travel_in_the_clear_is_warned_of(
    address: str, *, in_the_clear: bool
) -> None:
    assert (Head(address).warning is not None) is in_the_clear


def test_a_head_that_is_not_there_is_said_with_the_way_to_it() -> None:
    with pytest.raises(FaultError, match=r"no answer from the head at .*Open the tunnel"):
        Head(f"127.0.0.1:{free_port()}").all()


def test_a_token_file_that_cannot_be_read_is_the_persons_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Head(HERE, tmp_path / "none").all()


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        status, text = (403, b"Invalid") if given else (401, b"Missing")
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_refused_token_is_the_persons_mistake_with_the_remedy(
    refusing: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("f" * 64)
    with pytest.raises(InputError, match=r"refuses this token.*--token-file"):
        Head(refusing, token).all()
