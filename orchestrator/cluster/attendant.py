"""A worker's ear: a thread that tells the journal how it is, and hears what it is to do.

What can wait until the end of a round is only noted: the loop asks for it (``wishes``). What
cannot is done here: a checkpoint of the last finished step where nobody would be left, and the
end of a process that the others wait for in vain.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.cluster.roster import LEAVE_S, Orders
from orchestrator.cluster.sigterm import SIGTERM
from orchestrator.train.background import BackgroundCheckpoints
from orchestrator.train.contracts import Wishes
from orchestrator.train.state import Replica

ATTEND_S = 0.5
"""Between two words with the journal."""
MARGIN_S = 2.0
"""Before its deadline, a worker that still waits for others goes without them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leave:
    """This worker is to go."""

    by_s: float
    """Seconds since 1970."""
    reason: str


class Attendant:
    """The ear and its thread.

    Args:
        attend: Tells the journal the round and for how long this worker has been waiting; gives
            its orders. May raise: then the journal is away, and is told again.
        replica: This worker's state.
        checkpoints: Where a state is written.
        waiting_since_s: Since when this worker has been waiting for the others.
    """

    def __init__(
        self,
        attend: Callable[[int, float | None], Orders],
        replica: Replica,
        checkpoints: BackgroundCheckpoints,
        waiting_since_s: Callable[[], float | None],
    ) -> None:
        self._attend, self._replica, self._checkpoints = attend, replica, checkpoints
        self._waiting_since_s = waiting_since_s
        self._saved_round = -1
        self._closed = threading.Event()
        self.leave: Leave | None = None
        """Why and by when this worker is to go; None where it is not."""
        self._wants_checkpoint = self._regroups = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def wishes(self) -> Wishes:
        """What this worker asks of the round that is being summed up."""
        wishes = Wishes(leaving=self.leave is not None, saving=self._wants_checkpoint)
        self._wants_checkpoint = False
        return wishes

    def is_regrouping(self) -> bool:
        """Whether newcomers wait for a share of this round; said once."""
        regroups, self._regroups = self._regroups, False
        return regroups

    def round_done(self) -> None:
        """Whoever waited for the end of the round has it."""
        self._regroups = False

    def close(self) -> None:
        """Stop listening; bounded by one word with the journal."""
        self._closed.set()
        self._thread.join(ATTEND_S)

    def _work(self) -> None:
        while not self._closed.wait(ATTEND_S):
            try:
                self._obey(self._hear())
            except Exception:
                log.warning("the journal is out of reach", exc_info=True)

    def _hear(self) -> Orders:
        if SIGTERM.is_set() and self.leave is None:
            self.leave = Leave(time.time() + LEAVE_S, "SIGTERM")
        since_s = self._waiting_since_s()
        waiting_s = None if since_s is None else time.monotonic() - since_s
        return self._attend(self._replica.progress.round, waiting_s)

    def _obey(self, orders: Orders) -> None:
        if orders.end:
            log.warning("the others waited for this worker in vain: it ends")
            os.kill(os.getpid(), signal.SIGKILL)
        self._regroups |= orders.regroup
        if orders.save:
            self._wants_checkpoint = True
        if orders.leave_by_s is not None and self.leave is None:
            by_s = orders.leave_by_s or time.time() + LEAVE_S
            self.leave = Leave(by_s, "its node is drained")
        if orders.save_now or self._is_stuck():
            self._save_now()
        if self._is_stuck():
            log.warning("leaving while waiting for others")
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_stuck(self) -> bool:
        """Whether this worker is to go, and no round will end before it must."""
        waits = self._waiting_since_s() is not None
        return waits and self.leave is not None and time.time() > self.leave.by_s - MARGIN_S

    def _save_now(self) -> None:
        rounds = self._replica.progress.round
        if rounds == self._saved_round:
            return
        state = self._replica.to_bytes()
        self._checkpoints.offer(self._replica.progress.step, state, urgent=True)
        self._saved_round = rounds
