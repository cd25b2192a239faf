"""How stores that are asked over a network may answer, and how long they are waited for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from orchestrator.data.places.wording import missing, without_secrets
from orchestrator.errors import StorageError

T = TypeVar("T")


class GoneError(Exception):
    """There is no such thing, or not for us; asking again would not help."""


class NoAnswerError(Exception):
    """Nothing came, or nothing that says anything about what was asked for."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is waited for, and how often asked for."""

    waits_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    """Before each further try, seconds."""

    timeout_s: float = 30.0
    """Until a connection, and from then on until the next bytes."""


PATIENCE = Patience()


class RemoteStore(Protocol):
    """What answers behind a URL. Asks once; waiting and asking again is not its business."""

    def look(self, url: str, /) -> tuple[int, str]:
        """Bytes of an object, and a key that changes with it.

        Raises:
            GoneError: It is not there.
            NoAnswerError: The store did not say.
        """
        ...

    def fetch(self, url: str, start: int, stop: int | None, /) -> bytes:
        """Bytes from ``start`` up to ``stop`` or the end; fewer where the object is shorter.

        Raises:
            GoneError: It is not there.
            NoAnswerError: The store did not say.
        """
        ...


def patiently(action: Callable[[], T], url: str, what: str, patience: Patience) -> T:
    """Ask, and ask again while there is no answer.

    Raises:
        BadSampleError: It is not there.
        StorageError: There was no answer, however often it was asked for.
    """
    problem = ""
    for wait_s in (0.0, *patience.waits_s):
        time.sleep(wait_s)
        try:
            return action()
        except GoneError as error:
            raise missing(what, str(error)) from error
        except NoAnswerError as error:
            problem = str(error)
    times = 1 + len(patience.waits_s)
    raise StorageError(
        f"does not answer, asked {times} times ({problem})",
        without_secrets(url),
        "Check the store and run again",
    )
