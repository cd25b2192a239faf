"""Hold a run, or a search, for as long as a driver works on it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.errors import LeaseError, OrchestratorError
from orchestrator.storage import Store
from orchestrator.train.lease import Lease, this_process

RENEW_S = 5.0
STALE_S = 30.0
"""Age at which another machine's lease counts as dead."""


@contextmanager
def leased(store: Store, tell: Callable[[str], None]) -> Iterator[Lease]:
    """Take the lease, and let the next one in at once afterwards.

    Raises:
        LeaseError: Another holds it.
    """
    lease = Lease.claim_from_silence(store, this_process(), stale_s=STALE_S, tell=tell)
    try:
        yield lease
    finally:
        lease.release(time.time())


@contextmanager
def kept(lease: Lease) -> Iterator[Callable[[], None]]:
    """Keep the lease alive from a thread of its own.

    Yields:
        Raises LeaseError once another has taken over.
    """
    stop = threading.Event()
    lost: list[LeaseError] = []
    keeper = threading.Thread(target=_keep, args=(lease, stop, lost), daemon=True)
    keeper.start()

    def is_held() -> None:
        if lost:
            raise lost[0]

    try:
        yield is_held
    finally:
        stop.set()
        keeper.join()


def _keep(lease: Lease, stop: threading.Event, lost: list[LeaseError]) -> None:
    while True:
        try:
            lease.renew(time.time())
        except LeaseError as error:
            lost.append(error)
            return
        except OrchestratorError:
            # A store that does not answer for a moment: the next beat may get through.
            pass
        if stop.wait(RENEW_S):
            return
