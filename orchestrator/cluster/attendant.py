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
from orchestrator.policy.leaving import leave_now
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
        say_leaving: Tells the journal that this worker leaves, and why.
    """

    def __init__(
        self,
        attend: Callable[[int, float | None], Orders],
        replica: Replica,
        checkpoints: BackgroundCheckpoints,
        waiting_since_s: Callable[[], float | None],
        say_leaving: Callable[[str], None],
    ) -> None:
        self._attend, self._replica, self._checkpoints = attend, replica, checkpoints
        self._waiting_since_s, self._say_leaving = waiting_since_s, say_leaving
        self._round_s, self._round_since_s = 0.0, time.monotonic()
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
        """Whoever waited for the end of the round has it; the next may take as long."""
        self._regroups = False
        now_s = time.monotonic()
        self._round_s, self._round_since_s = now_s - self._round_since_s, now_s

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
        if orders.save_now:
            self._save_now()
        if self.leave is not None and self._has_no_time(self.leave):
            self._go(self.leave)

    def _has_no_time(self, leave: Leave) -> bool:
        """Whether no round will end before this worker must be gone."""
        if self._waiting_since_s() is not None:
            return time.time() > leave.by_s - MARGIN_S
        left_s = self._round_s - (time.monotonic() - self._round_since_s)
        return leave_now(leave.by_s, now_s=time.time(), step_left_s=max(0.0, left_s))

    def _go(self, leave: Leave) -> None:
        """Leave in the middle of a round: what was computed of it is lost, and not more."""
        if self._waiting_since_s() is not None:
            # Too few are left, or the others are far: what is in memory may be all there is.
            self._save_now()
        log.warning("leaving in the middle of a round: %s", leave.reason)
        self._checkpoints.flush(max(0.5, leave.by_s - time.time()))
        self._say_leaving(leave.reason)
        os.kill(os.getpid(), signal.SIGKILL)

    def _save_now(self) -> None:
        rounds = self._replica.progress.round
        if rounds == self._saved_round:
            return
        state = self._replica.to_buffer(self._checkpoints.spare())
        self._checkpoints.offer(self._replica.progress.step, state, urgent=True)
        self._saved_round = rounds
