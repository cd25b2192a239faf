"""How many trials a cluster has room for, so that none starves another, nor its data tasks."""

from collections.abc import Mapping, Sequence

from orchestrator.config.scale import ScaleConfig

DATA_CPUS = 1
"""Of each trial, to render with: what a single training asks of a private cluster, too."""

Node = Mapping[str, float]
"""What a node has, by Ray's names."""


def room_for(nodes: Sequence[Node], scale: ScaleConfig, *, gpu: bool, most: int | None) -> int:
    """Trials that may run at once, each with all the workers that it may have.

    One in any case: a cluster that is too small for one today may grow.

    Args:
        nodes: The nodes that are alive.
        scale: Of the trials.
        gpu: Whether a worker takes a GPU.
        most: The job's own limit, if it sets one.
    """
    worker = {"CPU": float(scale.cpus_per_worker), **({"GPU": 1.0} if gpu else {})}
    worker |= scale.resources
    workers = sum(_fitting(node, worker) for node in nodes)
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    wanted = scale.workers[1]
    by_cpus = int(cpus // (wanted * scale.cpus_per_worker + DATA_CPUS))
    room = max(1, min(workers // wanted, by_cpus))
    return room if most is None else min(room, most)


def _fitting(node: Node, worker: Mapping[str, float]) -> int:
    return min(int(node.get(name, 0.0) / amount + 1e-9) for name, amount in worker.items())
