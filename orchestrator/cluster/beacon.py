"""Whether the lighthouse has died since: a connection to it that is only held.

A lighthouse that was started again numbers its agreements from one. A cell that does not know
would take a new agreement for its old one of the same number, and not meet the others. The
system closes a dead process's connections at once, before another can listen at its port.
"""

import socket
import threading
import time
from collections.abc import Callable

AGAIN_S = 0.05
TIMEOUT_S = 2.0


def watch_beacon(host: str, port: int, on_death: Callable[[], None]) -> None:
    """Call ``on_death`` whenever whoever listens there has died, from a thread of its own."""
    threading.Thread(target=_watch, args=(host, port, on_death), daemon=True).start()


def _watch(host: str, port: int, on_death: Callable[[], None]) -> None:
    while True:
        held = _connected(host, port)
        if held is None:
            on_death()
            while (held := _connected(host, port)) is None:
                time.sleep(AGAIN_S)
        with held:
            _wait_for_end(held)


def _connected(host: str, port: int) -> socket.socket | None:
    try:
        held = socket.create_connection((host, port), TIMEOUT_S)
    except OSError:
        return None
    # A machine that is gone closes nothing: the system asks now and then.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    held.settimeout(None)
    return held


def _wait_for_end(held: socket.socket) -> None:
    """Return once the other side has closed. One that lives may do so too, with the idle."""
    try:
        while held.recv(1024):
            pass
    except OSError:
        return
