"""Which kind of machine the autoscaler asks for next: spot, until spot is refused.

Ray's autoscaler calls this by name (``RAY_AUTOSCALER_UTILIZATION_SCORER`` on the head), in its
own process. By itself it would not look at what a cloud refused: a group of on-demand machines
beside one of spot machines would never be used, or always.
"""

from typing import Any, Protocol

from ray.autoscaler._private.resource_demand_scheduler import (
    _resource_based_utilization_scorer,
)

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
    found: Any = _resource_based_utilization_scorer(
        real, resources, node_availability_summary=node_availability_summary
    )
    if found is None:
        return None
    gpu_ok, matching, *use = found
    refused = node_availability_summary.node_availabilities.get(node_type)
    comes = refused is None or refused.is_available
    return (gpu_ok, matching, comes, node_resources.get(SPOT, 0) > 0, *use)
