"""Which kind of machine is asked for next."""

from dataclasses import dataclass, field

import pytest
from ray.autoscaler.v2.instance_manager.subscribers.cloud_resource_monitor import (
    CloudResourceMonitor,
)
from ray.core.generated.instance_manager_pb2 import Instance, InstanceUpdateEvent

from orchestrator.cluster.scoring import Score, score_node_type

SPOT = {"CPU": 8, "GPU": 1, "accelerator_type:L4": 1, "spot": 1}
LARGE = {**SPOT, "CPU": 16}
STAYS = {name: amount for name, amount in SPOT.items() if name != "spot"}
DATA = {"CPU": 8, "spot": 1}
TYPES = {"spot": SPOT, "large": LARGE, "stays": STAYS, "data": DATA}
CELL = {"CPU": 4, "GPU": 1, "accelerator_type:L4": 0.001}


@dataclass
class Record:
    is_available: bool


@dataclass
class Summary:
    node_availabilities: dict[str, Record] = field(default_factory=dict)


def ranked(demand: list[dict[str, float]], *refused: str) -> list[str]:
    summary = Summary({name: Record(is_available=False) for name in refused})
    scores: dict[str, Score] = {}
    for name, resources in TYPES.items():
        score = score_node_type(resources, demand, name, node_availability_summary=summary)
        if score is not None:
            scores[name] = score
    return sorted(scores, key=lambda name: scores[name], reverse=True)


def test_spot_comes_before_on_demand_and_the_smaller_before_the_larger() -> None:
    assert ranked([CELL]) == ["spot", "large", "stays"]


@pytest.mark.parametrize(
    ("refused", "first"),
    [
        (("spot",), "large"),
        (("spot", "large"), "stays"),
        (("stays",), "spot"),
        # Where nothing comes, spot is tried again.
        (("spot", "large", "stays"), "spot"),
    ],
)
def test_what_was_refused_comes_after_what_was_not(
    refused: tuple[str, ...], first: str
) -> None:
    assert ranked([CELL], *refused)[0] == first


def test_work_without_a_gpu_keeps_off_machines_with_one_even_if_refused() -> None:
    assert ranked([{"CPU": 1}])[0] == "data"
    assert ranked([{"CPU": 1}], "data")[0] == "data"


def test_a_type_that_can_do_nothing_has_no_score() -> None:
    assert ranked([{"TPU": 1}]) == []


def test_rays_own_autoscaler_2_forgets_that_a_machine_was_refused() -> None:
    """Why the launcher files start autoscaler 1: when this fails, version 2 will do."""
    monitor = CloudResourceMonitor()
    refusal = InstanceUpdateEvent(
        instance_id="i", instance_type="spot", new_instance_status=Instance.ALLOCATION_FAILED
    )
    monitor.notify([refusal])
    assert monitor.get_recoverable_resource_availabilities() == {}
