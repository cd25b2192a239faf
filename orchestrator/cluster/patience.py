"""Waiting for a store that does not answer, before a run is given up."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.errors import StorageError

PAUSES_S = (0.5, 2.0, 10.0, 30.0)
"""Between tries."""

T = TypeVar("T")

log = logging.getLogger(__name__)


def patiently(action: Callable[[], T], pauses_s: tuple[float, ...] = PAUSES_S) -> T:
    """Do something; again after each pause, as long as a store does not answer.

    Raises:
        StorageError: It still does not.
    """
    for pause_s in pauses_s:
        try:
            return action()
        except StorageError as error:
            log.warning("%s; again in %s s", error, pause_s)
            time.sleep(pause_s)
    return action()
