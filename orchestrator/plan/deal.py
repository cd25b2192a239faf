"""Deal a step's micro-batches to the ranks that are alive now.

Letters: K micro-batches in the step.
"""

import heapq

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import PlanError

Costs = NDArray[np.float64]


def deal_step(cost_K: Costs, *, world_size: int) -> list[list[int]]:
    """Share out one step among the ranks, the costliest first to the least loaded.

    What a micro-batch holds was settled before and does not depend on ``world_size``: who
    computes changes, what is computed does not.

    Args:
        cost_K: Estimated cost of each micro-batch, in any one unit.
        world_size: Ranks alive now. Need not divide anything.

    Returns:
        One list of micro-batch numbers a rank, ascending; empty where ranks outnumber them.

    Raises:
        PlanError: ``world_size`` is below 1.

    Source: longest processing time first, Graham 1969: at most 4/3 of the best makespan.
    """
    if world_size < 1:
        raise PlanError(f"{world_size} ranks", "plan.deal", "Wait for a worker to join")
    hands: list[list[int]] = [[] for _ in range(world_size)]
    load_W = [(0.0, rank) for rank in range(world_size)]
    # Stable, so that equal costs are dealt alike on every machine.
    for micro in np.argsort(-cost_K, kind="stable"):
        load, rank = heapq.heappop(load_W)
        hands[rank].append(int(micro))
        heapq.heappush(load_W, (load + float(cost_K[micro]), rank))
    return [sorted(hand) for hand in hands]
