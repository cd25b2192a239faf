"""Micro-batches fetched before they are asked for, by a thread beside the computing."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

AHEAD = 3
"""The most that is held before it is asked for."""


class LookAhead(Generic[K, V]):
    """Fetches what was announced in its order, a few ahead.

    Args:
        fetch: Gets one thing; called by the thread, or by whoever asks for what it has not got.
        ahead: The most that is held.
    """

    def __init__(self, fetch: Callable[[K], V], ahead: int = AHEAD) -> None:
        self._fetch, self._ahead = fetch, ahead
        self._changed = threading.Condition()
        self._wanted: set[K] = set()
        self._line: deque[K] = deque()
        self._later: Callable[[], Sequence[K]] | None = None
        self._current: K | None = None
        self._ready: dict[K, V | Exception] = {}
        threading.Thread(target=self._work, daemon=True).start()

    def want(self, keys: Sequence[K]) -> None:
        """Say what will be asked for next, in order; all else that was announced is dropped."""
        with self._changed:
            self._wanted, self._later = set(keys), None
            self._ready = {key: self._ready[key] for key in keys if key in self._ready}
            here = {*self._ready, self._current}
            self._line = deque(key for key in keys if key not in here)
            self._changed.notify_all()

    def then(self, keys: Callable[[], Sequence[K]]) -> None:
        """Say what will be asked for after that; ``keys`` is called in the thread."""
        with self._changed:
            self._later = keys
            self._changed.notify_all()

    def take(self, key: K) -> V:
        """One thing; raises what fetching it raised."""
        with self._changed:
            # Under way: sooner had than by a second fetch.
            self._changed.wait_for(lambda: key in self._ready or self._current != key)
            found = self._ready.pop(key, None)
            if found is None and key in self._line:
                self._line.remove(key)
            self._wanted.discard(key)
            self._changed.notify_all()
        if found is None:
            return self._fetch(key)
        if isinstance(found, Exception):
            raise found
        return found

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                later = None if self._line else self._later
                if later is None:
                    self._current = self._line.popleft()
                else:
                    self._later = None
            if later is not None:
                self._unfold(later)
            elif self._current is not None:
                self._get(self._current)

    def _has_work(self) -> bool:
        return len(self._ready) < self._ahead and bool(self._line or self._later)

    def _unfold(self, keys: Callable[[], Sequence[K]]) -> None:
        try:
            found = keys()
        except Exception:  # noqa: BLE001 - whoever asks meets it again, where it is answered
            return
        with self._changed:
            self._wanted.update(found)
            self._line.extend(found)

    def _get(self, key: K) -> None:
        try:
            found: V | Exception = self._fetch(key)
        except Exception as error:  # noqa: BLE001 - raised where it is asked for
            found = error
        with self._changed:
            self._current = None
            if key in self._wanted:
                self._ready[key] = found
            self._changed.notify_all()
