"""Checkpoints written beside the training: a copy is taken, and the training goes on.

A store that is full, read-only, away or slow ends nothing: the write is tried again, each pause
twice as long as the one before up to a bound, until it succeeds, a newer checkpoint is offered,
or the trainer closes. Only a lease that another trainer took is final.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orchestrator.errors import LeaseError
from orchestrator.storage import Store
from orchestrator.train.checkpoint import Sealed, Verified, discard, prune, write_sealed

STATE = "state.safetensors"
CLOSE_S: Final = 60.0
_OF_ONE_TRY: Final = re.compile(r"step-\d+|\b[0-9a-f]{16,}\b|'[^']*\.tmp-[^']*'")

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Receives events; answers nothing."""

    def __call__(self, kind: str, **fields: Any) -> None: ...  # noqa: ANN401 - flat JSON values


@dataclass(frozen=True, kw_only=True, slots=True)
class Pauses:
    """How long to wait before the next try at a store that failed."""

    first_s: float = 1.0
    factor: float = 2.0
    most_s: float = 30.0

    def after(self, tries: int) -> float:
        """The pause after so many tries that failed, at least 1."""
        # The exponent is bounded too: a store may be away for days.
        return min(self.most_s, self.first_s * self.factor ** min(tries - 1, 64))


@dataclass(slots=True)
class _Offer:
    number: int
    step: int
    state: bytes | bytearray
    tries: int = 0
    is_last: bool = False
    files: dict[str, Sealed] | None = None


class BackgroundCheckpoints:
    """One thread that writes the newest checkpoint it was offered.

    A store that is slower than the training is offered more than it can take: the older of two
    waiting checkpoints is dropped, for it would be the worse one to resume from.

    Attributes:
        lost_lease: Set once another trainer has taken over. Nothing is written after that, and
            ``offer`` raises it.
        newest_written: Step of the newest checkpoint that this one made durable.

    Args:
        store: The run's store.
        keep: How many of the newest are kept.
        guard: Raises if this trainer may not write any more.
        record: Told of every checkpoint written, and once of each reason for which one was not.
        pauses: Between tries.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        store: Store,
        keep: int,
        guard: Callable[[], None],
        record: Recorder,
        pauses: Pauses = Pauses(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._keep, self._guard, self._record = store, keep, guard, record
        self._pauses, self._clock = pauses, clock
        self._changed = threading.Condition()
        self._waiting: _Offer | None = None
        self._num_offered = self._newest_done = 0
        self._tries = 0
        self._newest_step = 0
        self._abandoned: set[int] = set()
        self._hurry = self._is_closed = False
        self._spare: bytearray | None = None
        self._told: set[str] = set()
        self._verified = Verified()
        self.newest_written: int | None = None
        self.lost_lease: LeaseError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def spare(self) -> bytearray | None:
        """Memory of an earlier state that nobody reads any more, for the next one."""
        with self._changed:
            spare, self._spare = self._spare, None
            return spare

    def offer(self, step: int, state: bytes | bytearray, *, urgent: bool = False) -> None:
        """Have a state written; returns at once.

        Args:
            step: Steps done.
            state: The state. It is not copied, and if it is a ``bytearray``, ``spare`` may give
                it away once it is written.
            urgent: Try now, however long the store has been failing.

        Raises:
            LeaseError: Another trainer took over: stop.
        """
        if self.lost_lease is not None:
            raise self.lost_lease
        with self._changed:
            self._abandon(self._waiting)
            self._num_offered += 1
            self._waiting = _Offer(self._num_offered, step, state)
            self._newest_step = step
            self._hurry |= urgent
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until the newest checkpoint offered is durable; it is tried without a pause.

        Returns:
            Whether it is. False at once where another trainer took over.
        """
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_flushed() or self._is_over(), timeout_s)
            return self._is_flushed()

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Try once more what is not written yet, and end.

        A store that has not answered by then is reported, and left to itself.

        Returns:
            Whether the newest one offered is durable.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            is_flushed = self._is_flushed()
        if self._thread.is_alive():
            reason = f"{self._store.url} did not take it within {timeout_s:g} s of the end"
            self._tell("checkpoint_failed", step=self._newest_step, reason=reason)
        return is_flushed

    def _is_flushed(self) -> bool:
        return self._num_offered == self._newest_done

    def _is_over(self) -> bool:
        return self.lost_lease is not None or not self._thread.is_alive()

    def _work(self) -> None:
        while (offer := self._next()) is not None:
            try:
                self._write(offer)
            except LeaseError as error:
                self._fail(offer, error)
                with self._changed:
                    self.lost_lease, self._waiting = error, None
                    self._changed.notify_all()
                return
            except Exception as error:  # noqa: BLE001 - the thread has to live on
                self._fail(offer, error)
                self._keep_waiting(offer)

    def _next(self) -> _Offer | None:
        """The newest offer, after the pause that the last failure asks for; None at the end."""
        with self._changed:
            if self._tries:
                # A newer offer does not end the pause: it is the same store.
                pause_s = self._pauses.after(self._tries)
                self._changed.wait_for(lambda: self._hurry or self._is_closed, pause_s)
            self._changed.wait_for(lambda: self._waiting is not None or self._is_closed)
            if self._hurry:
                # Whoever is in a hurry is not to wait for what went wrong before.
                self._tries, self._hurry = 0, False
            offer, self._waiting = self._waiting, None
            if offer is not None:
                offer.is_last = self._is_closed
            return offer

    def _write(self, offer: _Offer) -> None:
        started_s = self._clock()
        if offer.files is None:
            offer.files = {STATE: Sealed.of(offer.state)}
        offer.tries += 1
        self._clear_away(offer)
        folder = write_sealed(self._store, offer.step, offer.files, self._guard, self._verified)
        self._tries = 0
        self._told.clear()
        seconds = self._clock() - started_s
        self._tell(
            "checkpoint", step=offer.step, path=folder, seconds=seconds, tries=offer.tries
        )
        with self._changed:
            self.newest_written, self._newest_done = offer.step, offer.number
            # A try that failed may have left a put that is still reading.
            if offer.tries == 1 and isinstance(offer.state, bytearray):
                self._spare = offer.state
            self._changed.notify_all()
        self._prune(offer)

    def _prune(self, offer: _Offer) -> None:
        try:
            prune(self._store, self._keep, self._guard, self._verified)
        except LeaseError:
            raise
        except Exception as error:  # noqa: BLE001 - the next checkpoint prunes again
            log.warning("step %d is written, older ones stay for now: %s", offer.step, error)

    def _fail(self, offer: _Offer, error: Exception) -> None:
        self._tries += 1
        # Names of steps and files differ from try to try; what is wrong does not.
        kind = f"{type(error).__name__}: {_OF_ONE_TRY.sub('…', str(error))}"
        if kind not in self._told:
            self._told.add(kind)
            self._tell("checkpoint_failed", step=offer.step, reason=str(error))

    def _keep_waiting(self, offer: _Offer) -> None:
        with self._changed:
            if self._waiting is not None:
                self._abandon(offer)
            elif not offer.is_last:
                self._waiting = offer

    def _abandon(self, offer: _Offer | None) -> None:
        if offer is not None and offer.tries:
            self._abandoned.add(offer.step)

    def _clear_away(self, offer: _Offer) -> None:
        """Make room: on a full disk, what failed tries left may be what fills it."""
        with self._changed:
            steps, self._abandoned = self._abandoned - {offer.step}, set()
        for step in steps:
            discard(self._store, step, self._guard)

    def _tell(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - flat JSON values
        try:
            self._record(kind, **fields)
        except Exception:
            # Whoever keeps the events may be away as well.
            log.exception("could not report %s of step %s", kind, fields.get("step"))
