"""Machines as the rules see them, whatever launcher the file is for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.launch.rules.gpus import gpu_of
from orchestrator.launch.rules.tree import Tree, at, entries, items, number, text

SPOT_LABELS = {
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/gke-preemptible": "true",
    "cloud.google.com/gke-provisioning": "spot",
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacitytype": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
"""How nodes are labelled as spot, in lower case."""
_ACCELERATOR = "accelerator_type:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Machines of one kind."""

    name: str
    place: str
    """Where in the file."""
    is_head: bool
    spot: bool
    gpus: float
    gpu_model: str | None
    """None where nobody can tell."""
    cpus: float | None
    least: float | None
    most: float | None


def launcher_groups(values: Tree) -> list[Group]:
    """The node types of a file for ``ray up``."""
    head = text(values, "head_node_type")
    return [
        Group(
            name=name,
            place=f"available_node_types.{name}",
            is_head=name == head,
            spot=_is_spot(at(kind, "node_config")),
            gpus=number(kind, "resources", "GPU") or 0.0,
            gpu_model=_model(at(kind, "resources"))
            or gpu_of(machine_type(at(kind, "node_config"))),
            cpus=number(kind, "resources", "CPU"),
            least=number(kind, "min_workers"),
            most=number(kind, "max_workers"),
        )
        for name, kind in entries(values, "available_node_types")
    ]


def machine_type(node_config: Tree) -> str:
    """The cloud's name for a machine; "" where there is none."""
    return (
        text(node_config, "InstanceType")
        or text(node_config, "machineType")
        or text(node_config, "azure_arm_parameters", "vmSize")
    )


def kubernetes_groups(cluster: Tree, place: str) -> list[Group]:
    """The pods of a cluster's ``spec``."""
    head = _pods(at(cluster, "headGroupSpec"), f"{place}.headGroupSpec", is_head=True)
    return [
        head,
        *(
            _pods(group, f"{place}.workerGroupSpecs.{number}", is_head=False)
            for number, group in enumerate(items(cluster, "workerGroupSpecs"))
        ),
    ]


def ray_container(group: Tree) -> Tree:
    """The container that Ray runs in: the first."""
    return at(group, "template", "spec", "containers", 0)


def _pods(group: Tree, place: str, *, is_head: bool) -> Group:
    container = ray_container(group)
    told = at(group, "rayStartParams")
    return Group(
        name=text(group, "groupName") or "head",
        place=place,
        is_head=is_head,
        spot=any(_spot_labels(group)),
        gpus=max(
            number(container, "resources", "limits", "nvidia.com/gpu") or 0.0,
            number(told, "num-gpus") or 0.0,
        ),
        gpu_model=_model(_custom_resources(text(told, "resources"))),
        cpus=number(told, "num-cpus") or number(container, "resources", "limits", "cpu"),
        least=number(group, "minReplicas"),
        most=number(group, "maxReplicas"),
    )


def _custom_resources(words: str) -> Tree:
    """As KubeRay wants them: JSON in quotes, its own quotes behind a backslash."""
    try:
        return json.loads(words.strip("'\"").replace('\\"', '"'))
    except (ValueError, RecursionError):
        return None


def _model(resources: Tree) -> str | None:
    named = (name for name, _ in entries(resources) if name.startswith(_ACCELERATOR))
    return next((name.removeprefix(_ACCELERATOR) for name in named), None)


def _is_spot(node_config: Tree) -> bool:
    scheduling = at(node_config, "scheduling")
    planned = scheduling if isinstance(scheduling, list) else [scheduling]
    return (
        text(node_config, "InstanceMarketOptions", "MarketType") == "spot"
        or text(node_config, "azure_arm_parameters", "priority").lower() in {"spot", "low"}
        or any(at(one, "preemptible") is True for one in planned)
        or any(text(one, "provisioningModel").upper() == "SPOT" for one in planned)
    )


def _spot_labels(group: Tree) -> Iterator[bool]:
    for label, value in entries(group, "template", "spec", "nodeSelector"):
        yield SPOT_LABELS.get(label.lower()) == str(value).lower()
