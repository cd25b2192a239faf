"""A driver's side of being supervised: its orders, its parent's end, and its own last word."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from orchestrator.cluster.interrupt import heed_interrupts
from orchestrator.cluster.supervise import FAULT, Orders
from orchestrator.errors import FaultError, InputError, OrchestratorError, StorageError

_LASTING = (FileNotFoundError, ImportError, ValueError, TypeError, KeyError)
"""What is behind a store's error that no waiting mends: nothing there, no client, no sense."""


@dataclass(frozen=True, slots=True)
class Leash:
    """The line to the parent: it ends when the parent does."""

    channel: socket.socket
    again: bool
    """Whether this is not the first driver of its command."""

    @classmethod
    def taken(cls) -> tuple[Orders, "Leash"]:
        """What the parent wants, and the line to it; from now on its end is ours."""
        channel = socket.socket(fileno=os.dup(0))
        with channel.makefile("rb") as lines:
            orders = Orders(**json.loads(lines.readline()))
        # Nobody whom we start is to hold the line.
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
            os.dup2(nothing.fileno(), 0)
        threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
        return orders, cls(channel, orders.again)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let the parent know which exit code was meant, a fault's excepted."""
        try:
            yield
        except SystemExit as end:
            if end.code != FAULT:
                self._say(end.code)
            raise
        self._say(0)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Answer to stops from here on, and end with a word to the parent at a fault.

        Raises:
            SystemExit: With ``FAULT``, where an error may pass.
        """
        heed_interrupts()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            yield
        except OrchestratorError as error:
            if not may_pass(error, again=self.again):
                raise
            self._say(error.args)
            raise SystemExit(FAULT) from None

    def _say(self, word: object) -> None:
        # Perhaps nobody is left to hear it.
        with suppress(OSError):
            self.channel.sendall(json.dumps(word).encode())


def may_pass(error: OrchestratorError, *, again: bool) -> bool:
    """Whether the same driver, started again a little later, might have better luck.

    Args:
        error: What ended it.
        again: Whether it is not the first of its command.
    """
    match error:
        case FaultError():
            return True
        case StorageError():
            return not isinstance(error.__cause__, _LASTING)
        case InputError():
            # The cluster at the address, most likely, which an earlier driver was on.
            return again and isinstance(error.__cause__, ConnectionError | RuntimeError)
        case _:
            return False


def _end_with(channel: socket.socket) -> None:
    """Wait for the parent's end, and be no longer than it.

    At once, for whoever types the command again is not to find the run held. That a driver
    vanishes is provided for: Ray takes back what it had, and its lease is a dead process's.
    """
    # A line that breaks has ended too.
    with suppress(OSError):
        channel.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)
