"""Which lighthouse has answered: told by a connection to it that is only held.

A lighthouse that was started again numbers its agreements from one, and its answers do not say
whose they are. A cell that does not know would take a new agreement for its old one of the same
number, and not meet the others. The system closes a dead process's connections at once, before
another can listen at its port; a lighthouse that lives closes none that is silent.
"""

import socket

TIMEOUT_S = 2.0


class Beacon:
    """The lighthouse at an address.

    Args:
        host: Where it listens.
        port: At which port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._held = self._connected()

    def is_another(self) -> bool:
        """Whether another lighthouse listens than did last time, or at first.

        To be asked right after an answer. If one has died and none listens yet, the answer
        was the last of the one that died.
        """
        if self._held is not None and not _has_ended(self._held):
            return False
        found = self._connected()
        if found is None:
            return False
        self.close()
        self._held = found
        return True

    def close(self) -> None:
        """Let go of it."""
        if self._held is not None:
            self._held.close()

    def _connected(self) -> socket.socket | None:
        try:
            held = socket.create_connection(self._where, TIMEOUT_S)
        except OSError:
            return None
        held.settimeout(0)
        # A machine that is gone closes nothing: the system asks now and then.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return held


def _has_ended(held: socket.socket) -> bool:
    try:
        while held.recv(1024):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
