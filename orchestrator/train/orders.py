"""How the leader of a crew tells its followers what to do.

An order is a kind, a few plain values and perhaps bytes. It goes to all followers at once. A
follower that hears nothing for a while takes the leader for lost; so a leader that has no order
to give says so now and then.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from orchestrator.errors import FaultError

Kind = Literal["load", "compute", "score", "apply", "end"]
LEADER = 0
_FIX = "The cell is started again; the other cells go on meanwhile"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The longest that the members of a crew wait for each other, in seconds."""

    order_s: float = 60.0
    """For an order, or a sign of life; and for a follower to take one."""
    work_s: float = 600.0
    """For another member's part of the work: its micro-batch may have to be fetched first."""

    @property
    def beat_s(self) -> float:
        """How often the leader gives a sign of life."""
        return self.order_s / 6


@dataclass(frozen=True, slots=True)
class Order:
    """What the followers shall do."""

    kind: Kind
    fields: dict[str, Any]
    content: bytes


@dataclass(frozen=True)
class CrewGroups:
    """The members' connections."""

    orders: dist.ProcessGroup
    """Gloo: the leader's orders and nothing else."""
    work: dist.ProcessGroup
    """Gloo: what is agreed and added up, on the CPU."""
    mesh: DeviceMesh
    """Gloo on the CPU, NCCL on GPUs: the blocks of the sharded base."""
    bounds: Bounds
    rank: int
    size: int

    @classmethod
    def open(cls, device: torch.device, bounds: Bounds | None = None) -> "CrewGroups":
        """Connect the members; they are all the processes of torch's default group."""
        bounds = bounds or Bounds()
        work_timeout = timedelta(seconds=bounds.work_s)
        orders = dist.new_group(backend="gloo", timeout=timedelta(seconds=bounds.order_s))
        work = dist.new_group(backend="gloo", timeout=work_timeout)
        gather = work
        if device.type == "cuda":
            gather = dist.new_group(backend="nccl", timeout=work_timeout)
        mesh = DeviceMesh.from_group(gather, device.type)
        return cls(orders, work, mesh, bounds, dist.get_rank(), dist.get_world_size())

    def tell_all(self, value: Any) -> list[Any]:  # noqa: ANN401 - plain values
        """Everybody's value, by rank; all members call it with theirs."""
        content = json.dumps(value).encode()
        longest = torch.tensor([len(content)])
        dist.all_reduce(longest, dist.ReduceOp.MAX, group=self.work)
        # Spaces, which JSON does not mind, so that all are of one length.
        own = torch.tensor(list(content.ljust(int(longest))), dtype=torch.uint8)
        found = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(found, own, group=self.work)
        return [json.loads(one.numpy().tobytes()) for one in found]


@contextmanager
def losses_found(where: str) -> Iterator[None]:
    """Raise what torch says of a lost or silent member as a fault of its machine.

    Raises:
        FaultError: A member is gone, or did not answer within the bound.
    """
    try:
        yield
    except RuntimeError as error:
        # Gloo has no error of its own: its messages begin with its source file.
        if not (isinstance(error, dist.DistError) or "gloo/" in str(error)):
            raise
        reason = str(error).split("] ", 1)[-1].split(". ", maxsplit=1)[0]
        raise FaultError(
            f"a worker of this cell is gone or silent: {reason}",
            where,
            _FIX,
        ) from error


class OrderGiver:
    """The leader's end; when it closes, the followers are sent home."""

    def __init__(self, groups: CrewGroups) -> None:
        self._groups = groups
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._lost: FaultError | None = None
        self._beats = threading.Thread(target=self._beat, name="crew-beats", daemon=True)
        self._beats.start()

    @contextmanager
    def giving(self, kind: Kind, content: bytes = b"", **fields: Any) -> Iterator[None]:  # noqa: ANN401 - plain values
        """Give an order, and give no sign of life while the followers are at it.

        A message to somebody who does not listen would wait, and count as lost in the end.

        Raises:
            FaultError: A follower is gone, or did not take the order within the bound.
        """
        header = json.dumps({"kind": kind, **fields}).encode()
        with self._lock:
            if self._lost is not None:
                raise self._lost
            try:
                with losses_found("train.orders"):
                    self._send(header, content)
                yield
            except Exception as error:
                # Nobody knows where the followers stand now: they get no further order.
                self._lost = FaultError(
                    f"the cell's workers are out of step since: {error}", "train.orders", _FIX
                )
                raise

    def give(self, kind: Kind, content: bytes = b"", **fields: Any) -> None:  # noqa: ANN401 - plain values
        """Give an order after which the followers listen again.

        Raises:
            FaultError: As ``giving``.
        """
        with self.giving(kind, content, **fields):
            pass

    def close(self) -> None:
        """Send the followers home, those that still listen; a second time does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._beats.join()
        try:
            self.give("end")
        except FaultError:
            # Whoever is not there any more needs no word.
            return

    def _send(self, header: bytes, content: bytes) -> None:
        sizes = torch.tensor([len(header), len(content)])
        dist.broadcast(sizes, group_src=LEADER, group=self._groups.orders)
        if header:
            data = torch.from_numpy(np.frombuffer(header + content, np.uint8).copy())
            dist.broadcast(data, group_src=LEADER, group=self._groups.orders)

    def _beat(self) -> None:
        while not self._closing.wait(self._groups.bounds.beat_s):
            with self._lock:
                if self._lost is not None:
                    return
                try:
                    with losses_found("train.orders"):
                        self._send(b"", b"")
                except FaultError as error:
                    self._lost = error
                    return


def next_order(groups: CrewGroups) -> Order:
    """Wait for the leader's next order.

    Raises:
        FaultError: The leader is gone, or gave no sign of life within the bound.
    """
    sizes = torch.zeros(2, dtype=torch.int64)
    with losses_found("train.orders"):
        while not sizes[0]:
            dist.broadcast(sizes, group_src=LEADER, group=groups.orders)
        data: Tensor = torch.empty(int(sizes.sum()), dtype=torch.uint8)
        dist.broadcast(data, group_src=LEADER, group=groups.orders)
    whole = data.numpy().tobytes()
    fields = json.loads(whole[: int(sizes[0])])
    return Order(fields.pop("kind"), fields, whole[int(sizes[0]) :])
