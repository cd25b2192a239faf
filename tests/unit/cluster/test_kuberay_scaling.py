"""Ray's own autoscaler, as KubeRay runs it, on the groups of the rendered file."""

from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler._private.util import validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import ResourceRequestByCount

from orchestrator.launch.description import Description
from orchestrator.launch.loading import load_description
from orchestrator.launch.rendering import rendered

SOURCE = Path(__file__).parents[3] / "clusters/spot_l4.yaml"
SPOT, STAYS, DATA = "gpu-spot-gpu", "gpu-on-demand-gpu", "data-spot-data"
CELL = {"CPU": 4, "GPU": 1, "accelerator_type:L4": 0.001}


@pytest.fixture(scope="module")
def description() -> Description:
    return load_description(SOURCE)


@pytest.fixture(scope="module")
def config(description: Description) -> dict[str, Any]:
    cluster, *_ = rendered(description, "kuberay", SOURCE)
    found: dict[str, Any] = _derive_autoscaling_config_from_ray_cr(cluster)
    validate_config(found)
    return found


def launched(
    config: dict[str, Any], demand: dict[str, float], number: int, *late: str
) -> dict[str, int]:
    """What it asks for, where pods of the groups named did not come in time just now."""
    wanted = ResourceRequestByCount(request=ResourceRequestUtil.make(demand), count=number)
    reply = ResourceDemandScheduler(None).schedule(
        SchedulingRequest(
            node_type_configs=AutoscalingConfig(
                config, skip_content_hash=True
            ).get_node_type_configs(),
            max_num_nodes=config["max_workers"] + 1,
            resource_requests=[wanted],
            recoverable_resource_availabilities=dict.fromkeys(late, 0.0),
            disable_launch_config_check=True,
        )
    )
    found = {one.instance_type: one.count for one in reply.to_launch}
    # Nothing runs yet, so the head is asked for too.
    return {name: count for name, count in found.items() if name != config["head_node_type"]}


def test_ray_reads_the_file_as_the_groups_that_were_meant(
    description: Description, config: dict[str, Any]
) -> None:
    types = config["available_node_types"]
    assert types[SPOT]["resources"] == types[STAYS]["resources"]
    assert types[SPOT]["resources"]["GPU"] == 1
    assert types[SPOT]["resources"]["accelerator_type:L4"] == 1
    assert types[SPOT]["priority"] > types[STAYS]["priority"]
    assert config["idle_timeout_minutes"] == description.idle_minutes


def test_pods_on_spot_nodes_are_asked_for_first(config: dict[str, Any]) -> None:
    assert launched(config, CELL, 3) == {SPOT: 3}


def test_pods_on_nodes_that_stay_are_asked_for_where_spot_did_not_come(
    config: dict[str, Any],
) -> None:
    assert launched(config, CELL, 3, SPOT) == {STAYS: 3}


def test_rendering_asks_for_pods_without_gpus(config: dict[str, Any]) -> None:
    assert launched(config, {"CPU": 1}, 20) == {DATA: 3}
