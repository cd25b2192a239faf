"""Who takes part: torchft's lighthouse finds the cells that are alive, each round anew."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ray
from torch import Tensor
from torch.distributed import ReduceOp
from torchft.coordination import LighthouseServer
from torchft.manager import Manager
from torchft.process_group import ProcessGroupGloo

from orchestrator.cluster.transport import StateTransport
from orchestrator.errors import FaultError
from orchestrator.train.loop import Membership
from orchestrator.train.state import Replica

JOIN_WAIT_MS = 180_000
"""How long an agreement waits for a cell that is alive but still in a round of its own: as long
as a round may take, or newcomers that outnumber those at work would go on without them."""
HEARTBEAT_TIMEOUT_MS = 500
"""Silence after which a cell counts as dead. What a loss costs the survivors, nearly."""
COLLECTIVE_TIMEOUT_S = 180.0
"""The longest a rank waits for the others' share: a cold ingest, a slow neighbour."""
QUORUM_TIMEOUT_S = 600.0
"""The longest a cell waits for enough others; then its process is started anew."""


class Lighthouse:
    """Torchft's lighthouse, in an actor where spot instances do not go."""

    def __init__(self, min_workers: int) -> None:
        self._server = LighthouseServer(
            bind=f"{ray.util.get_node_ip_address()}:0",
            min_replicas=min_workers,
            join_timeout_ms=JOIN_WAIT_MS,
            quorum_tick_ms=50,
            heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS,
        )

    def address(self) -> str:
        """URL of the server, by the node's address: a host name need not resolve elsewhere."""
        port = self._server.address().rsplit(":", 1)[1]
        return f"http://{ray.util.get_node_ip_address()}:{port}"


class _WatchedGloo(ProcessGroupGloo):  # type: ignore[misc]
    """Gloo that remembers who is in it: torchft tells nobody else."""

    quorum_id = -1
    cells: tuple[int, ...] = ()

    def configure(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torchft's signature
        super().configure(*args, **kwargs)
        self.quorum_id, self.cells = int(args[4]), tuple(int(cell) for cell in args[7])


class CellPeers:
    """The other cells, as ``train.loop.Peers`` wants them.

    Args:
        replica: This cell's state; replaced in place when a neighbour is ahead.
        cell: This cell's number.
        min_workers: Fewest cells that may train.
        lighthouse: URL of the lighthouse.
        token: The run's secret.
        watch: Told of every new membership: quorum number, and the cells in it.
    """

    def __init__(
        self,
        replica: Replica,
        *,
        cell: int,
        min_workers: int,
        lighthouse: str,
        token: str,
        watch: Callable[[int, tuple[int, ...]], None],
    ) -> None:
        self._cell = cell
        self._watch = watch
        self._watched = -1
        self._gloo = _WatchedGloo(timedelta(seconds=COLLECTIVE_TIMEOUT_S))
        host = ray.util.get_node_ip_address()
        self._manager = Manager(
            pg=self._gloo,
            load_state_dict=replica.load_bytes,
            state_dict=replica.to_bytes,
            min_replica_size=min_workers,
            use_async_quorum=False,
            timeout=timedelta(seconds=COLLECTIVE_TIMEOUT_S),
            quorum_timeout=timedelta(seconds=QUORUM_TIMEOUT_S),
            rank=0,
            world_size=1,
            lighthouse_addr=lighthouse,
            replica_id=f"cell{cell}",
            hostname=host,
            heartbeat_interval=timedelta(milliseconds=100),
            checkpoint_transport=StateTransport(host, token),
            # Every cell starts from the same seed or the same checkpoint, to the bit.
            init_sync=False,
        )
        self._manager.load_state_dict({"step": replica.progress.round, "batches_committed": 0})

    def agree(self) -> Membership | None:
        started_s = time.monotonic()
        try:
            self._manager.start_quorum()
        except (RuntimeError, TimeoutError) as error:
            raise FaultError(
                f"no agreement after {time.monotonic() - started_s:.0f} s: {error}",
                "cluster.quorum",
                "The cell is started anew; look whether the head node is reachable",
            ) from error
        if self._manager.errored():
            self._give_up()
            self._manager.should_commit()
            return None
        if self._gloo.quorum_id != self._watched:
            self._watched = self._gloo.quorum_id
            self._watch(self._gloo.quorum_id, self._gloo.cells)
        rank = int(self._manager.participating_rank())
        assert self._gloo.cells[rank] == self._cell, f"{self._gloo.cells} at rank {rank}"
        return Membership(rank, self._gloo.cells)

    def add(self, payload: Tensor) -> bool:
        self._manager.allreduce(payload, reduce_op=ReduceOp.SUM).wait()
        if self._manager.errored() is None:
            return True
        self._give_up()
        return False

    def _give_up(self) -> None:
        """Close the connections of a sum that failed.

        Not every rank talks to the one that died: some wait for us, and would until they time
        out, if ours stayed open.
        """
        self._gloo.abort()

    def commit(self) -> bool:
        return bool(self._manager.should_commit())

    def leave(self) -> None:
        """Take this cell out of the quorum."""
        self._manager.shutdown(wait=False)
