"""A SIGTERM to a worker is a notice like any other: noted here, answered where it is asked."""

import signal
import threading

SIGTERM = threading.Event()
"""Set when this process was asked to end."""


def heed_sigterm() -> None:
    """Note a SIGTERM instead of dying of it. Only a process's main thread may ask for this."""
    signal.signal(signal.SIGTERM, lambda *_: SIGTERM.set())
