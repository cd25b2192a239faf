"""Who takes part: torchft's lighthouse finds the cells that are alive, each round anew.

Knows torchft, and not Ray: the other cells may as well be plain processes.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from torch import Tensor
from torch.distributed import ReduceOp, TCPStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import AllreduceOptions
from torchft.manager import Manager
from torchft.process_group import ProcessGroupGloo

from orchestrator.cluster.beacon import Beacon
from orchestrator.cluster.interfaces import meet_at
from orchestrator.cluster.transport import StateTransport
from orchestrator.errors import FaultError
from orchestrator.train.contracts import Membership
from orchestrator.train.state import Replica

HEARTBEAT_S = 0.1
HEARD_S = 2 * HEARTBEAT_S
"""After which a lighthouse that has just come has heard from all who live."""
AGREE_WAIT_S = 60.0
"""How long one question for an agreement stands; it is asked again while the run goes on."""
MEET_TIMEOUT_S = 8.0
"""The longest that those who agreed wait for each other's addresses; Gloo waits five times as
long for a connection to one of them."""
SUM_TIMEOUT_S = 1.3
SUM_BYTES_PER_S = 16e6
MOST_SUM_TIMEOUT_S = 300.0
"""How long a sum may take: all are at it when it begins, so one that takes longer has lost
somebody. A sum that was given up wrongly is made again, with twice the time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CellSeat:
    """Where a cell sits: what it takes to find the others and to be found."""

    cell: int
    """This cell's number."""
    host: str
    """This node's address, as the other cells reach it."""
    lighthouse: str
    """URL of the lighthouse."""
    token: str
    """The run's secret."""
    min_workers: int
    """Fewest cells that may train."""


class _WatchedGloo(ProcessGroupGloo):  # type: ignore[misc]
    """Gloo that remembers who is in it: torchft tells nobody else."""

    quorum_id = -1
    cells: tuple[int, ...] = ()
    meetings = 0
    """How often cells have met: numbers of agreements come again with a new lighthouse."""

    def configure(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torchft's signature
        super().configure(*args, **kwargs)
        self.quorum_id, self.cells = int(args[4]), tuple(int(cell) for cell in args[7])
        self.meetings += 1


class _Asking:
    """torchft's client to the lighthouse, by way of its manager; ``heard`` with each answer."""

    def __init__(self, client: Any, heard: Callable[[], None]) -> None:  # noqa: ANN401
        self._client, self._heard = client, heard

    def _quorum(self, **asked: Any) -> Any:  # noqa: ANN401 - torchft's signature
        answer = self._client._quorum(**asked)  # noqa: SLF001
        self._heard()
        return answer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._client, name)


class CellPeers:
    """The other cells, as ``train.contracts.Peers`` wants them.

    Args:
        replica: This cell's state; replaced in place when a neighbour is ahead.
        seat: Where this cell sits.
        watch: Told of every new membership: its number, and the cells in it.
        goes_on: Asked while there is no agreement, once in ``AGREE_WAIT_S``: whether the run
            still wants this cell.
    """

    def __init__(
        self,
        replica: Replica,
        seat: CellSeat,
        watch: Callable[[int, tuple[int, ...]], None],
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._seat = seat
        self._watch, self._goes_on = watch, goes_on
        self._failed_sums = 0
        self._watched = self._swept = self._met_before = 0
        self.waiting_since_s: float | None = None
        """Since when this cell waits for the others, on the monotonic clock; None: it works."""
        meet_at(seat.host)
        self._transport = StateTransport(seat.host, seat.token)
        # Its own, which ends with it.
        self._store = TCPStore(seat.host, 0, is_master=True, wait_for_workers=False)
        self._gloo = _WatchedGloo(timedelta(seconds=MEET_TIMEOUT_S))
        self._manager = Manager(
            pg=self._gloo,
            load_state_dict=replica.load_bytes,
            state_dict=replica.to_bytes,
            min_replica_size=seat.min_workers,
            use_async_quorum=False,
            timeout=timedelta(seconds=MOST_SUM_TIMEOUT_S),
            quorum_timeout=timedelta(seconds=AGREE_WAIT_S),
            connect_timeout=timedelta(seconds=5),
            rank=0,
            world_size=1,
            store_addr=seat.host,
            store_port=self._store.port,
            lighthouse_addr=seat.lighthouse,
            replica_id=f"cell{seat.cell}",
            hostname=seat.host,
            heartbeat_interval=timedelta(seconds=HEARTBEAT_S),
            checkpoint_transport=self._transport,
            # Every cell starts from the same seed or the same checkpoint, to the bit.
            init_sync=False,
            # A lighthouse that died comes back; until then it is asked every tenth of a second.
            quorum_retries=int(10 * AGREE_WAIT_S),
        )
        self._manager.load_state_dict({"step": replica.progress.round, "batches_committed": 0})
        where = urlsplit(seat.lighthouse)
        self._beacon = Beacon(str(where.hostname), int(where.port or 0))
        self._manager._client = _Asking(self._manager._client, self._heard)  # noqa: SLF001

    def _heard(self) -> None:
        """The lighthouse has answered; torchft compares the answer's number after this."""
        self._transport.allow()
        if self._beacon.is_another():
            # A new agreement, whatever its number.
            self._manager._quorum_id = -1  # noqa: SLF001
            self._met_before = len(self._gloo.cells)

    def agree(self) -> Membership | None:
        self.waiting_since_s = time.monotonic()
        try:
            return self._agreed()
        finally:
            self.waiting_since_s = None

    def _sweep(self) -> None:
        """Forget what this cell's store holds of agreements past.

        A lighthouse that was started anew counts from one again, and whoever meets in the name
        of an old number must not find old addresses. All have met by now: a sum came after.
        """
        if self._swept != self._gloo.meetings:
            self._swept = self._gloo.meetings
            for key in self._store.list_keys():
                if key.startswith("torchft/"):
                    self._store.delete_key(key)

    def _agreed(self) -> Membership | None:
        self._sweep()
        try:
            self._manager.start_quorum()
        except (RuntimeError, TimeoutError) as error:
            self._wait_on(str(error))
            return None
        is_another = self._manager.num_participants() != len(self._gloo.cells)
        # By chance of the number that the last one had before the lighthouse was started anew.
        if is_another and not self._manager.errored():
            self._manager.report_error(RuntimeError("an agreement of an old number"))
        met_before, self._met_before = self._met_before, 0
        if len(self._gloo.cells) < met_before and not self._manager.errored():
            # A lighthouse that has just come takes those who ask first for all there are.
            time.sleep(HEARD_S)
            self._manager.report_error(RuntimeError("the lighthouse has not heard all yet"))
        if self._manager.errored():
            self._gloo.abort()
            self._manager.should_commit()
            return None
        if self._watched != self._gloo.meetings:
            self._watched = self._gloo.meetings
            self._watch(self._gloo.quorum_id, self._gloo.cells)
        rank = int(self._manager.participating_rank())
        assert self._gloo.cells[rank] == self._seat.cell, f"{self._gloo.cells} at rank {rank}"
        return Membership(rank, self._gloo.cells)

    def _wait_on(self, reason: str) -> None:
        log.warning("no agreement yet: %s", reason)
        # torchft asks its last question's outcome before it asks the next.
        self._manager._quorum_future = None  # noqa: SLF001
        if not self._goes_on():
            raise FaultError(
                "the run is over, and this cell still waited for others",
                "cluster.quorum",
                "Nothing is to be done",
            )

    def add(self, payload: Tensor) -> bool:
        if len(self._gloo.cells) == 1:
            return True
        options = AllreduceOptions()
        options.reduceOp = ReduceOp.SUM  # type: ignore[assignment]
        options.timeout = timedelta(seconds=self._sum_timeout_s(payload))
        try:
            self._gloo.allreduce([payload], options).wait()
        except Exception as error:  # noqa: BLE001 - Gloo's, of no class of its own
            # Not every rank talks to the one that died: some wait for us, and would until they
            # time out, if our connections stayed open.
            self._gloo.abort()
            self._manager.report_error(error)
            self._failed_sums += 1
            return False
        self._failed_sums = 0
        return True

    def _sum_timeout_s(self, payload: Tensor) -> float:
        usual_s = SUM_TIMEOUT_S + payload.numel() * payload.element_size() / SUM_BYTES_PER_S
        return float(min(MOST_SUM_TIMEOUT_S, usual_s * 2.0**self._failed_sums))

    def commit(self) -> bool:
        return bool(self._manager.should_commit())

    def leave(self) -> None:
        """Take this cell out of the quorum."""
        self._beacon.close()
        self._manager.shutdown(wait=False)
