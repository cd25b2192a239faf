"""Checkpoints written beside the training: a copy is taken, and the training goes on."""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.storage import Store
from orchestrator.train.checkpoint import prune, write_checkpoint

STATE = "state.safetensors"


class Recorder(Protocol):
    """Receives events; answers nothing."""

    def __call__(self, kind: str, **fields: Any) -> None: ...  # noqa: ANN401 - flat JSON values


class BackgroundCheckpoints:
    """One thread that writes the newest checkpoint it was offered.

    A store that is slower than the training is offered more than it can take: the older of two
    waiting checkpoints is dropped, for it would be the worse one to resume from.

    Args:
        store: The run's store.
        keep: How many of the newest are kept.
        guard: Raises if this trainer may not write any more.
        record: Told of every checkpoint written or refused.
    """

    def __init__(
        self, store: Store, keep: int, guard: Callable[[], None], record: Recorder
    ) -> None:
        self._store, self._keep, self._guard, self._record = store, keep, guard, record
        self._changed = threading.Condition()
        self._waiting: tuple[int, bytes] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def offer(self, step: int, state: bytes) -> None:
        """Have a state written; returns at once."""
        with self._changed:
            self._waiting = (step, state)
            self._changed.notify()

    def close(self) -> None:
        """Return once the newest one offered is written or refused."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while (offered := self._next()) is not None:
            self._write(*offered)

    def _next(self) -> tuple[int, bytes] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._is_closed)
            offered, self._waiting = self._waiting, None
            return offered

    def _write(self, step: int, state: bytes) -> None:
        started_s = time.monotonic()
        try:
            folder = write_checkpoint(self._store, step, {STATE: state}, self._guard)
            prune(self._store, self._keep)
        except Exception as error:  # noqa: BLE001 - the thread has to live on
            # The training goes on: the next checkpoint may well succeed.
            self._record("checkpoint_failed", step=step, reason=str(error))
            return
        seconds = time.monotonic() - started_s
        self._record("checkpoint", step=step, path=folder, seconds=seconds)
