"""Ctrl-C to a driver: raised at once or nearly, and once more where that was swallowed.

Python raises wherever the main thread happens to be. In a weak reference's callback, such as
the import system has, an exception is printed and forgotten, and the driver would go on. That
callback holds the lock of all imports, and between taking it and its ``try`` would keep it.
"""

import signal
import threading
from types import FrameType

_INTERRUPTED = threading.Event()
_IMPORTS = "<frozen importlib._bootstrap>"
"""What Python calls the file of its import system."""
_AGAIN_S = 0.05
"""After which an interrupt that came while the import system ran is tried again."""


def heed_interrupts() -> None:
    """Take SIGINT for Ctrl-C. Only a process's main thread may ask for this."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _INTERRUPTED.set()
    if frame is not None and frame.f_code.co_filename == _IMPORTS:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        return
    signal.default_int_handler(number, frame)


def raise_if_interrupted() -> None:
    """Called by what goes on for long, between two things it does.

    Raises:
        KeyboardInterrupt: There was a Ctrl-C, and we are still here.
    """
    if _INTERRUPTED.is_set():
        raise KeyboardInterrupt
