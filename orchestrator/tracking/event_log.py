"""A log that outlives an outage of its store: told at once, written as soon as it can be.

What is told is kept in memory, in order, and written by a thread of its own. A store that is
full, read-only or away is tried again, each pause twice as long as the one before up to a
bound. A batch that failed is sent again as the very same lines: ``Store.append`` writes it
once, also where the answer to the first try was lost.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from orchestrator.errors import LeaseError
from orchestrator.storage import Store

_BATCH_LINES: Final = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """When lines are written."""

    gather_s: float = 0.1
    """How long lines are gathered for: an object store makes one object of each batch."""
    first_pause_s: float = 0.5
    most_pause_s: float = 10.0
    """Bounds of the pause after a try that failed; each is twice the one before."""
    sure_s: float = 5.0
    """How long the guard's leave holds while nothing fails."""

    def pause_s(self, tries: int) -> float:
        """The pause after so many tries that failed, at least 1."""
        return min(self.most_pause_s, self.first_pause_s * 2.0 ** min(tries - 1, 64))


class EventLog:
    """Lines in order, each once. ``append`` neither raises nor waits for the store.

    Lines that wait are held in memory without a bound: a step's event is some 400 bytes, and an
    hour of steps of half a second 3 MB.

    Attributes:
        problem: Why lines wait, in words; None where nothing is wrong.
        lost_lease: Set once another trainer has taken over: nothing is written after that.

    Args:
        store: The store.
        name: The log's name in it. One ``EventLog`` a log and process.
        guard: Raises LeaseError if this process may not write any more. Asked before the first
            batch, after a failure, and after ``pace.sure_s``: a process that was frozen must
            not write among the lines of its successor.
        pace: When lines are written.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        guard: Callable[[], None] = lambda: None,
        pace: Pace = Pace(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._name, self._guard = store, name, guard
        self._pace, self._clock = pace, clock
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._num_told = self._num_written = 0
        self._num_hurried = self._num_flushes = self._tries = 0
        self._is_closed = False
        self._sure_until_s = -float("inf")
        self.problem: str | None = None
        self.lost_lease: LeaseError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def append(self, lines: Iterable[str]) -> None:
        """Have lines written; returns at once. A line end of theirs may be left out."""
        fresh = [line.removesuffix("\n") for line in lines]
        with self._changed:
            self._waiting += fresh
            self._num_told += len(fresh)
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything told so far is durable; it is tried without a pause.

        Returns:
            Whether it is. False at once where another trainer took over.
        """
        with self._changed:
            wanted = self._num_told
            self._num_hurried = max(self._num_hurried, wanted)
            self._num_flushes += 1
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._num_written >= wanted or self._is_over(), timeout_s
            )
            return self._num_written >= wanted

    def close(self, timeout_s: float) -> bool:
        """Flush, and end. What is not written by then stays unwritten, and is reported.

        Returns:
            Whether everything told is durable.
        """
        is_whole = self.flush(timeout_s)
        with self._changed:
            self._is_closed = True
            lost = self._num_told - self._num_written
            self._changed.notify_all()
        if not is_whole:
            log.error("%d lines of %s are lost: %s", lost, self._name, self.problem)
        return is_whole

    def _is_over(self) -> bool:
        return self.lost_lease is not None or self._is_closed

    def _work(self) -> None:
        batch: list[str] = []
        while batch := batch or self._next_batch():
            try:
                self._write(batch)
            except LeaseError as error:
                self._lose(error)
                return
            except Exception as error:  # noqa: BLE001 - the thread has to live on
                self._sure_until_s = -float("inf")
                self.problem = str(error)
                log.warning("%s; %d lines wait", error, self._num_told - self._num_written)
                self._pause()
                if self._is_closed:
                    return
            else:
                self._count(len(batch))
                batch = []

    def _next_batch(self) -> list[str]:
        """Wait for lines, and for a little more of them; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            self._changed.wait_for(self._is_hurried, self._pace.gather_s)
            batch = self._waiting[:_BATCH_LINES]
            del self._waiting[:_BATCH_LINES]
            return batch

    def _is_hurried(self) -> bool:
        return self._is_closed or self._num_hurried > self._num_written

    def _write(self, batch: list[str]) -> None:
        now_s = self._clock()
        if now_s >= self._sure_until_s:
            self._guard()
            self._sure_until_s = now_s + self._pace.sure_s
        self._store.append(self._name, "\n".join(batch) + "\n")

    def _pause(self) -> None:
        """Wait before the next try; a flush ends it, and has the pauses begin anew."""
        with self._changed:
            self._tries += 1
            flushes = self._num_flushes
            if self._changed.wait_for(
                lambda: self._is_closed or self._num_flushes > flushes,
                self._pace.pause_s(self._tries),
            ):
                self._tries = 0

    def _count(self, num_lines: int) -> None:
        with self._changed:
            self._num_written += num_lines
            self._tries, self.problem = 0, None
            self._changed.notify_all()

    def _lose(self, error: LeaseError) -> None:
        with self._changed:
            self.problem, self.lost_lease = str(error), error
            self._changed.notify_all()
