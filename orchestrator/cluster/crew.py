"""How the workers of one cell find each other.

Ray Train starts, watches and restarts them as one: if one dies, all of the cell begin anew,
while the other cells go on.
"""

from datetime import timedelta

import ray
import torch
import torch.distributed as dist
from ray.train.collective import broadcast_from_rank_zero

# As torch.distributed has it, which does not say so.
from torch._C._distributed_c10d import TCPStore

from orchestrator.train.orders import LEADER, CrewGroups, losses_found

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


def _connect(rank: int, size: int) -> None:
    timeout = timedelta(seconds=MEETING_S)
    if rank == LEADER:
        host = ray.util.get_node_ip_address()
        store = TCPStore(host, 0, is_master=True, timeout=timeout, wait_for_workers=False)
        broadcast_from_rank_zero((host, store.port))
    else:
        host, port = broadcast_from_rank_zero(None)
        store = TCPStore(host, port, timeout=timeout)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timeout)
