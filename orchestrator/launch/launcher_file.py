"""What the launcher files of AWS, Google Cloud and Azure have in common."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.launch.commands import (
    HOME,
    INSTALL,
    MLFLOW_LOG,
    PROJECT,
    TOKEN,
    WATCH_LOG,
    bring_records_back,
    in_background,
    keep_watching,
    serve_records,
    start_head,
    start_worker,
)
from orchestrator.launch.description import RESERVED_CPUS, Description, Fleet, Machine

Values = dict[str, Any]
Market = Literal["spot", "on_demand"]
Role = Literal["head", "gpu", "data"]

SPOT = "spot"
"""A resource of spot machines, by which the autoscaler's scorer knows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """How one cloud is asked for machines."""

    name: str
    """As ``orchestrator watch --cloud`` has it."""
    fleet: Fleet
    bucket: str | None
    """Where runs and MLflow's files go; None where no bucket of the cloud's is known."""
    provider: Values
    """Ray's section of that name."""
    auth: Values
    """Ray's section of that name."""
    node_config: Callable[[Machine, Market, Role], Values]
    """What the cloud is told of one machine."""


@dataclass(frozen=True, slots=True)
class Group:
    """Machines of one type, for one purpose, from one market."""

    name: str
    machine: Machine
    market: Market
    role: Role
    least: int
    most: int


def groups_of(description: Description, fleet: Fleet) -> Iterator[Group]:
    """A fleet's groups beside the head, in the order in which they are preferred."""
    first = fleet.gpu[0]
    plan: list[tuple[Role, Market, tuple[Machine, ...], tuple[int, int]]] = [
        ("gpu", "spot", fleet.gpu, description.gpu_spot),
        ("gpu", "on_demand", (first,), description.gpu_on_demand),
        ("data", "spot", fleet.data, description.data_spot),
    ]
    for role, market, machines, (least, most) in plan:
        for machine in machines:
            kind = re.sub(r"[^a-z0-9]+", "_", machine.type.lower())
            # The least are asked of the cheapest type, and of that alone.
            floor = least if machine is machines[0] else 0
            yield Group(f"{role}_{market}_{kind}", machine, market, role, floor, most)


def launcher_file(description: Description, cloud: Cloud) -> Values:
    """A file for ``ray up``."""
    fleet = cloud.fleet
    watch = in_background(keep_watching(cloud.name), WATCH_LOG)
    groups = list(groups_of(description, fleet))
    return {
        "cluster_name": description.name,
        "max_workers": description.most_nodes,
        "upscaling_speed": 10.0,
        "idle_timeout_minutes": description.idle_minutes,
        "provider": cloud.provider,
        "auth": cloud.auth,
        "docker": {
            "image": description.image,
            "container_name": "ray",
            "pull_before_run": True,
            "run_options": [
                "--ulimit nofile=65536:65536",
                "--env RAY_AUTH_MODE=token",
            ],
        },
        "head_node_type": "head",
        "available_node_types": {
            "head": _head(cloud, fleet.head),
            **{group.name: _node_type(cloud, fleet, group) for group in groups},
        },
        "file_mounts": {PROJECT: ".", f"{HOME}/{TOKEN}": f"~/{TOKEN}"},
        "rsync_exclude": [".git", ".venv", ".demo", "runs", "**/__pycache__"],
        "setup_commands": list(INSTALL),
        # Ray's own would install more, of other versions.
        "head_setup_commands": [],
        "head_start_ray_commands": ["ray stop", start_head(), watch, *_records(cloud)],
        "worker_start_ray_commands": ["ray stop", start_worker(), watch],
        "metadata": {"prices": _prices(fleet, groups)},
    }


def _records(cloud: Cloud) -> list[str]:
    if cloud.bucket is None:
        return [in_background(serve_records(f"{HOME}/mlartifacts"), MLFLOW_LOG)]
    return [
        in_background(serve_records(f"{cloud.bucket}/mlflow"), MLFLOW_LOG),
        in_background(bring_records_back(cloud.bucket), MLFLOW_LOG),
    ]


def _head(cloud: Cloud, machine: Machine) -> Values:
    return {
        "node_config": cloud.node_config(machine, "on_demand", "head"),
        "resources": {"CPU": max(1, machine.cpus - RESERVED_CPUS), "GPU": 0},
        "min_workers": 0,
        "max_workers": 0,
    }


def _node_type(cloud: Cloud, fleet: Fleet, group: Group) -> Values:
    resources = {"CPU": group.machine.cpus}
    if group.role == "gpu":
        resources["GPU"] = group.machine.gpus
        resources[f"accelerator_type:{fleet.gpu_model}"] = 1
    if group.market == "spot":
        resources[SPOT] = 1
    return {
        "node_config": cloud.node_config(group.machine, group.market, group.role),
        "resources": resources,
        "min_workers": group.least,
        "max_workers": group.most,
    }


def _prices(fleet: Fleet, groups: list[Group]) -> Values:
    """Of an hour of each node type, where they were written down."""
    known = fleet.prices
    if known is None:
        return {}
    hourly = {group.name: getattr(group.machine, group.market) for group in groups}
    return {
        "as_of": known.as_of.isoformat(),
        "currency": known.currency,
        "source": known.source,
        "hourly": {"head": fleet.head.on_demand, **hourly},
    }
