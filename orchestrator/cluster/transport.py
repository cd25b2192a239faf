"""How a newcomer gets its state from a neighbour: safetensors over HTTP, behind a token.

torchft's own transport unpickles what it is sent; this one moves bytes that ``Replica`` reads
as safetensors, and answers nobody without the run's token.
"""

import hmac
import threading
import urllib.request
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from torchft.checkpointing.transport import CheckpointTransport

from orchestrator.errors import FaultError

OPEN_S = 1.0
"""How long a newcomer may be ahead of its neighbour with the same agreement."""
# Nodes reach each other without the proxy that a machine may have for everything else.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class _Shelf:
    """The state that may be fetched right now, if any."""

    def __init__(self, token: str, wait_s: float) -> None:
        self.token = token
        self._wait_s = wait_s
        self._changed = threading.Condition()
        self._is_open = False
        self._content: tuple[int, bytes] | None = None

    def open(self) -> None:
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def put(self, step: int, content: bytes) -> None:
        with self._changed:
            self._content = (step, content)
            self._is_open = True
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._content, self._is_open = None, False
            self._changed.notify_all()

    def take(self, step: int) -> bytes | None:
        def is_there() -> bool:
            return self._content is not None and self._content[0] == step

        with self._changed:
            # The newcomer may ask before this replica has seen the same agreement; and after it
            # has given it up, when nothing will come any more.
            if not self._changed.wait_for(lambda: self._is_open, OPEN_S):
                return None
            self._changed.wait_for(lambda: is_there() or not self._is_open, self._wait_s)
            return self._content[1] if self._content is not None and is_there() else None


class _Handler(BaseHTTPRequestHandler):
    server: "_StateServer"

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        wanted = f"Bearer {self.server.shelf.token}"
        # As bytes: of text, only ASCII can be compared.
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            self.send_error(401)
            return
        step = self.path.removeprefix("/state/")
        content = self.server.shelf.take(int(step)) if step.isdigit() else None
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the worker's log is for its work."""


class _StateServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, shelf: _Shelf) -> None:
        super().__init__((host, 0), _Handler)
        self.shelf = shelf


class StateTransport(CheckpointTransport[dict[str, Any]]):  # type: ignore[misc]
    """Serve this replica's state to newcomers, and fetch one from a neighbour.

    The state that torchft hands over is ``{"user": {"default": bytes}, "torchft": counters}``.

    Args:
        host: The address to listen on: the node's own, as other nodes reach it.
        token: The run's secret; whoever does not send it gets 401.
        wait_s: How long a newcomer is kept waiting for a state that may come, before it gets
            404: others write theirs for seconds.
    """

    def __init__(self, host: str, token: str, wait_s: float = 30.0) -> None:
        self._token = token
        self._shelf = _Shelf(token, wait_s)
        self._server = _StateServer(host, self._shelf)
        self._url = f"http://{host}:{self._server.server_port}/state/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def metadata(self) -> str:
        return self._url

    def send_checkpoint(
        self,
        dst_ranks: list[int],  # noqa: ARG002 - torchft's signature
        step: int,
        state_dict: dict[str, Any],
        timeout: timedelta,  # noqa: ARG002
    ) -> None:
        self._shelf.put(step, state_dict["user"]["default"])

    def allow(self) -> None:
        """An agreement has come: a state may follow, until ``disallow_checkpoint``."""
        self._shelf.open()

    def disallow_checkpoint(self) -> None:
        self._shelf.close()

    def recv_checkpoint(
        self,
        src_rank: int,  # noqa: ARG002
        metadata: str,
        step: int,
        timeout: timedelta,
    ) -> dict[str, Any]:
        if not metadata.startswith("http://"):
            raise FaultError(
                f"state offered at {metadata!r}", "cluster.transport", "Use one version"
            )
        request = urllib.request.Request(
            f"{metadata}{step}", headers={"Authorization": f"Bearer {self._token}"}
        )
        with _DIRECT.open(request, timeout=timeout.total_seconds()) as answer:
            content = answer.read()
        counters = {"step": step, "batches_committed": 0}
        return {"user": {"default": content}, "torchft": counters}

    def shutdown(self, wait: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002
        self._server.shutdown()
        self._server.server_close()
