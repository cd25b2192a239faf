"""Which kind of machine the autoscaler asks for next: spot, until spot is refused.

Ray's autoscaler calls this by name (``RAY_AUTOSCALER_UTILIZATION_SCORER`` on the head), in its
own process. By itself it would not look at what a cloud refused: a group of on-demand machines
beside one of spot machines would never be used, or always.
"""

from typing import Protocol

from orchestrator.cluster.launcher_internals import use_of_node
from orchestrator.launch.launcher_file import SPOT

Score = tuple[bool, int, bool, bool, float, float]
"""Keeps GPUs for who needs them, kinds of resources that match, not refused lately, spot, and
how well it is used."""


class _Record(Protocol):
    is_available: bool


class Availability(Protocol):
    """What the autoscaler remembers of its last tries, for half an hour."""

    node_availabilities: dict[str, _Record]


def score_node_type(
    node_resources: dict[str, float],
    resources: list[dict[str, float]],
    node_type: str,
    *,
    node_availability_summary: Availability,
) -> Score | None:
    """Rank one type of node for what is wanted; the highest is asked for.

    Args:
        node_resources: What a node of the type has.
        resources: What is wanted, a mapping a node at most.
        node_type: Its name in the launcher file.
        node_availability_summary: Which types were refused.

    Returns:
        None where the type can do nothing of it.
    """
    real = {name: amount for name, amount in node_resources.items() if name != SPOT}
    use = use_of_node(real, resources, node_availability_summary)
    if use is None:
        return None
    keeps_gpus, matching, least, mean = use
    last = node_availability_summary.node_availabilities.get(node_type)
    comes = last is None or last.is_available
    return (keeps_gpus, matching, comes, node_resources.get(SPOT, 0) > 0, least, mean)
