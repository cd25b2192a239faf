"""Time as an argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """What a watcher knows of time; tests bring their own."""

    now_s: Callable[[], float] = time.time
    """Seconds since 1970, by this machine."""

    sleep: Callable[[float], None] = time.sleep
