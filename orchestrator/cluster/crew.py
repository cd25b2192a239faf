"""How the workers of one cell find each other.

Ray Train starts, watches and restarts them as one: if one dies, all of the cell begin anew,
while the other cells go on.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import ray
import torch
import torch.distributed as dist
from ray.train.collective import broadcast_from_rank_zero

# As torch.distributed has it, which does not say so.
from torch._C._distributed_c10d import TCPStore

from orchestrator.cluster.interfaces import meet_at
from orchestrator.cluster.sigterm import SIGTERM
from orchestrator.train.contracts import Crew
from orchestrator.train.crew import Alone, Source
from orchestrator.train.halving import HalvingLearner
from orchestrator.train.leader import Leader, follow
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.lockstep import LockstepLearner
from orchestrator.train.member import Member
from orchestrator.train.orders import LEADER, CrewGroups, losses_found
from orchestrator.train.state import Replica

MEETING_S = 120.0
"""The longest that a cell's workers wait for each other as they start."""


def join_crew(device: torch.device) -> CrewGroups | None:
    """Connect this worker to the others of its cell; None where there are none.

    Raises:
        FaultError: The others cannot be reached.
    """
    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    if size == 1:
        return None
    with losses_found("cluster.crew"):
        if not dist.is_initialized():
            # Ray's own trainer for torch has done it; a plain one does not.
            _connect(rank, size)
        return CrewGroups.open(device)


def kinds_of(groups: CrewGroups | None, own: dict[str, str]) -> list[dict[str, str]]:
    """The numeric classes of a cell's machines, each once."""
    kinds = [own] if groups is None else groups.tell_all(own)
    return [kind for place, kind in enumerate(kinds) if kind not in kinds[:place]]


@contextmanager
def crew_of(
    groups: CrewGroups | None,
    replica: Replica,
    learner: VisionLanguageLearner,
    source: Source,
) -> Iterator[Crew | None]:
    """Take this worker's part in its cell.

    Gives what the loop computes with, to a worker that is alone or leads. A follower does all
    that it is told before it gets None: there is nothing left for it to do.

    Raises:
        FaultError: A follower's leader is gone.
    """
    if groups is None:
        yield Alone(replica, HalvingLearner(learner, replica.tensors, source.ledger), source)
        return
    member = Member(groups, replica, LockstepLearner(learner), source)
    if groups.rank != LEADER:
        # A follower cannot leave alone: asked to go, it ends, and its cell with it.
        threading.Thread(target=_end_when_asked, daemon=True).start()
        follow(member)
        yield None
        return
    leader = Leader(member)
    try:
        yield leader
    finally:
        leader.close()


def _end_when_asked() -> None:
    SIGTERM.wait()
    os.kill(os.getpid(), signal.SIGKILL)


def _connect(rank: int, size: int) -> None:
    timeout = timedelta(seconds=MEETING_S)
    host = ray.util.get_node_ip_address()
    meet_at(host)
    if rank == LEADER:
        store = TCPStore(host, 0, is_master=True, timeout=timeout, wait_for_workers=False)
        broadcast_from_rank_zero((host, store.port))
    else:
        host, port = broadcast_from_rank_zero(None)
        store = TCPStore(host, port, timeout=timeout)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timeout)
