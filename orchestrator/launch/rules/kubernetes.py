"""Rules for files of KubeRay: a cluster or a job, and what protects it."""

from collections.abc import Sequence
from typing import Final

from orchestrator.launch.commands import DRAIN_S
from orchestrator.launch.rules.finding import Finding, Findings, shown
from orchestrator.launch.rules.fleet import fleet_findings
from orchestrator.launch.rules.groups import Group, kubernetes_groups, ray_container
from orchestrator.launch.rules.tree import Tree, at, entries, items, number, text

_DRAIN: Final = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
_DEFAULT_GRACE_S: Final = 30.0
"""What Kubernetes gives a pod that says nothing."""


def cluster_of(document: Tree) -> tuple[Tree, str] | None:
    """The description of a cluster within a document, and where it is; None where none is."""
    match text(document, "kind"):
        case "RayCluster":
            return at(document, "spec"), "spec"
        case "RayJob":
            return at(document, "spec", "rayClusterSpec"), "spec.rayClusterSpec"
        case _:
            return None


def kubernetes_findings(documents: Sequence[Tree]) -> Findings:
    """What is wrong with all documents of a file, taken together."""
    for document in documents:
        found = cluster_of(document)
        if found is None:
            continue
        cluster, place = found
        groups = kubernetes_groups(cluster, place)
        yield from fleet_findings(groups)
        yield from _doors(cluster, place)
        yield from _autoscaler(cluster, place, groups)
        for group, pods in zip(groups, _all_pods(cluster), strict=True):
            yield from _ending(pods, group)
            if group.spot and not group.is_head:
                yield from _watch(pods, group)
        yield from _protected(documents, place)


def _all_pods(cluster: Tree) -> list[Tree]:
    return [at(cluster, "headGroupSpec"), *items(cluster, "workerGroupSpecs")]


def _doors(cluster: Tree, place: str) -> Findings:
    mode = at(cluster, "authOptions", "mode")
    if mode != "token":
        yield Finding(
            f"{place}.authOptions.mode",
            shown(mode),
            "token authentication is off: who reaches a port of Ray's runs code",
            "Write token",
        )
    service = at(cluster, "headGroupSpec", "serviceType")
    if service not in (None, "ClusterIP"):
        yield Finding(
            f"{place}.headGroupSpec.serviceType",
            shown(service),
            "the head's ports are open outside of the Kubernetes cluster",
            "Write ClusterIP, and use kubectl port-forward",
        )
    if at(cluster, "headGroupSpec", "enableIngress") is True:
        yield Finding(
            f"{place}.headGroupSpec.enableIngress",
            "true",
            "the dashboard, which runs jobs, is open outside of the Kubernetes cluster",
            "Leave it out, and use kubectl port-forward",
        )


def _autoscaler(cluster: Tree, place: str, groups: Sequence[Group]) -> Findings:
    grows = any((group.most or 0) > (group.least or 0) for group in groups)
    if grows and at(cluster, "enableInTreeAutoscaling") is not True:
        yield Finding(
            f"{place}.enableInTreeAutoscaling",
            shown(at(cluster, "enableInTreeAutoscaling")),
            "groups may grow, and nobody makes them",
            "Write true",
        )
    version = at(cluster, "autoscalerOptions", "version")
    if grows and version != "v2":
        yield Finding(
            f"{place}.autoscalerOptions.version",
            shown(version),
            "the autoscaler looks at no priorities, and does not pass over a group that finds "
            "no nodes",
            "Write v2",
        )
    idle = number(cluster, "autoscalerOptions", "idleTimeoutSeconds")
    if grows and not (idle and idle > 0):
        yield Finding(
            f"{place}.autoscalerOptions.idleTimeoutSeconds",
            shown(at(cluster, "autoscalerOptions", "idleTimeoutSeconds")),
            "is missing, or pods go at once",
            "Say after how many seconds pods without work go",
        )
    yield from _replicas(cluster, groups)
    yield from _priorities(cluster, groups)


def _replicas(cluster: Tree, groups: Sequence[Group]) -> Findings:
    for group, pods in zip(groups, _all_pods(cluster), strict=True):
        replicas = number(pods, "replicas")
        most = group.most if group.most is not None else replicas
        if replicas is not None and not (group.least or 0) <= replicas <= (most or 0):
            yield Finding(
                f"{group.place}.replicas",
                shown(at(pods, "replicas")),
                "is not between minReplicas and maxReplicas",
                "Write minReplicas",
            )


def _priorities(cluster: Tree, groups: Sequence[Group]) -> Findings:
    pairs = list(zip(groups, _all_pods(cluster), strict=True))
    spot = [number(pods, "priority") or 0 for group, pods in pairs if group.spot and group.gpus]
    for group, pods in pairs:
        if group.is_head or group.spot or not group.gpus or not spot:
            continue
        if (number(pods, "priority") or 0) >= min(spot):
            yield Finding(
                f"{group.place}.priority",
                shown(at(pods, "priority")),
                "the on-demand group is not behind the spot groups",
                "Write a lower number than theirs",
            )


def _ending(pods: Tree, group: Group) -> Findings:
    grace = number(pods, "template", "spec", "terminationGracePeriodSeconds")
    drain_s = float(DRAIN_S)
    for variable in items(ray_container(pods), "env"):
        if text(variable, "name") == _DRAIN:
            drain_s = number(variable, "value") or drain_s
    if (_DEFAULT_GRACE_S if grace is None else grace) <= drain_s:
        yield Finding(
            f"{group.place}.template.spec.terminationGracePeriodSeconds",
            shown(grace),
            f"a pod is killed before Ray's drain of {drain_s:g} s is over",
            f"Write {2 * drain_s:g}",
        )
    hook = at(ray_container(pods), "lifecycle", "preStop")
    if "ray stop" in str(hook):
        yield Finding(
            f"{group.place}.template.spec.containers.0.lifecycle.preStop",
            shown(hook),
            "ends Ray before the SIGTERM at which it would drain",
            "Leave the hook out",
        )


def _watch(pods: Tree, group: Group) -> Findings:
    if "orchestrator watch" not in str(at(pods, "template", "spec")):
        yield Finding(
            f"{group.place}.template.spec.containers.0.lifecycle",
            "",
            "spot pods have no watchman: the cloud's notice, which comes first, is not heard",
            "Start orchestrator watch in a postStart hook, in the background",
        )


def _protected(documents: Sequence[Tree], place: str) -> Findings:
    budgets = [one for one in documents if text(one, "kind") == "PodDisruptionBudget"]
    head = [
        one
        for one in budgets
        if dict(entries(one, "spec", "selector", "matchLabels")).get("ray.io/node-type")
        == "head"
    ]
    if not head:
        yield Finding(
            f"{place}.headGroupSpec",
            "",
            "no PodDisruptionBudget keeps the head: an upgrade of its node ends every run",
            "Add one with maxUnavailable: 0 for ray.io/node-type: head",
        )
    for one in head:
        if at(one, "spec", "maxUnavailable") not in (0, "0", "0%") and (
            at(one, "spec", "minAvailable") is None
        ):
            yield Finding(
                f"PodDisruptionBudget {text(one, 'metadata', 'name')}: spec.maxUnavailable",
                shown(at(one, "spec", "maxUnavailable")),
                "lets the head be evicted",
                "Write 0",
            )
    if not any(text(one, "kind") == "NetworkPolicy" for one in documents):
        yield Finding(
            place,
            "",
            "no NetworkPolicy: every pod of the Kubernetes cluster reaches torchft's ports, "
            "which ask for no token",
            "Add one that lets in pods of this cluster, and the operator at the dashboard",
        )
