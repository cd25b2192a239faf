"""The description as Kubernetes files for KubeRay: a cluster, and a job with one of its own.

Machines are pods here. Which nodes they land on is said by labels; how nodes come and go is the
business of the cloud's own node pools.
"""

from typing import Any

from orchestrator.launch.commands import (
    DRAIN_S,
    HOME,
    WATCH_LOG,
    bring_records_back,
    in_background,
    keep_watching,
    serve_records,
)
from orchestrator.launch.description import (
    RESERVED_CPUS,
    Description,
    KubernetesCloud,
    Machine,
)
from orchestrator.launch.launcher_file import Group, Values, groups_of
from orchestrator.launch.ports import CLIENT, DASHBOARD, GCS

GRACE_S = 2 * DRAIN_S
"""How long a pod may take to end: Ray's drain, and time to let go of the GPU and the store."""
LABEL = "orchestrator/cluster"
"""On every pod, whatever name the operator gives the cluster."""
JOB_FILE = "job.yaml"
JOB_FOLDER = f"{HOME}/job"
LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
PRIORITY = {"spot": 20, "on_demand": 10}
"""Spot is tried first; the autoscaler passes over what does not come."""


def render_cluster(description: Description, cloud: KubernetesCloud) -> list[Values]:
    """A cluster that stays, and what protects it."""
    cluster = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": _meta(description, cloud, description.name),
        "spec": _cluster_spec(description, cloud, {}),
    }
    return [cluster, *_guards(description, cloud)]


def render_job(description: Description, cloud: KubernetesCloud) -> list[Values]:
    """A job with a cluster of its own, which goes with it; and what protects it.

    The job file is read from the config map ``NAME-job``, under ``job.yaml``.
    """
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": _meta(description, cloud, f"{description.name}-job"),
        "spec": {
            "entrypoint": f"orchestrator train {JOB_FOLDER}/{JOB_FILE} --address auto",
            # A cluster whose head died is made anew, and the run goes on from the bucket.
            "backoffLimit": 3,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "submissionMode": "K8sJobMode",
            "submitterPodTemplate": _submitter(description, cloud),
            "rayClusterSpec": _cluster_spec(description, cloud, _job_file(description.name)),
        },
    }
    return [job, *_guards(description, cloud)]


def _meta(description: Description, cloud: KubernetesCloud, name: str) -> Values:
    return {
        "name": name,
        "namespace": cloud.namespace,
        "labels": {LABEL: description.name, **description.tags},
    }


def _cluster_spec(description: Description, cloud: KubernetesCloud, head: Values) -> Values:
    fleet = cloud.fleet
    return {
        "rayVersion": description.ray_version,
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "upscalingMode": "Aggressive",
            "idleTimeoutSeconds": round(description.idle_minutes * 60),
        },
        "headGroupSpec": {
            "serviceType": "ClusterIP",
            "rayStartParams": {
                "num-cpus": str(max(1, fleet.head.cpus - RESERVED_CPUS)),
                "num-gpus": "0",
                # The operator asks it from its own pod. The network policy says who may.
                "dashboard-host": "0.0.0.0",
            },
            "template": _head_pod(description, cloud, head),
        },
        "workerGroupSpecs": [
            _worker_group(description, cloud, group) for group in groups_of(description, fleet)
        ],
    }


def _job_file(name: str) -> Values:
    """What the head of a job's cluster has beside that of any other."""
    return {
        "volumes": [{"name": "job", "configMap": {"name": f"{name}-job"}}],
        "volumeMounts": [{"name": "job", "mountPath": JOB_FOLDER, "readOnly": True}],
    }


def _head_pod(description: Description, cloud: KubernetesCloud, extras: Values) -> Values:
    served = serve_records(f"{cloud.storage}/mlflow")
    brought = bring_records_back(cloud.storage)
    ports = {"gcs": GCS, "dashboard": DASHBOARD, "client": CLIENT}
    container = {
        **_ray_container(cloud, cloud.fleet.head, "ray-head"),
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "volumeMounts": [*extras.get("volumeMounts", []), *_scratch_mounts()],
    }
    records = {
        "name": "mlflow",
        "image": cloud.image,
        "command": ["/bin/bash", "-lc", f"{served} & {brought}; wait"],
        "resources": _amounts({"cpu": "500m", "memory": "1Gi"}),
        "securityContext": LOCKED,
    }
    pod = _pod(description, cloud, cloud.on_demand, [container, records])
    pod["spec"]["volumes"] = [*extras.get("volumes", []), *_scratch(description)]
    # The autoscaler takes nodes that it holds for empty: never the head's.
    pod["metadata"]["annotations"] = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    return pod


def _worker_group(description: Description, cloud: KubernetesCloud, group: Group) -> Values:
    labels = {"spot": cloud.spot, "on_demand": cloud.on_demand}[group.market]
    if group.role == "gpu":
        labels = {**labels, **cloud.gpu}
    container = _ray_container(cloud, group.machine, "ray-worker")
    container["volumeMounts"] = _scratch_mounts()
    # In the background: a hook that does not return holds up the container's start.
    watch = in_background(keep_watching("auto", in_pod=True), WATCH_LOG)
    # And no preStop hook: Ray drains at the SIGTERM, and a ray stop before it would not let it.
    container["lifecycle"] = {"postStart": {"exec": {"command": ["/bin/bash", "-lc", watch]}}}
    pod = _pod(description, cloud, labels, [container])
    pod["spec"]["volumes"] = _scratch(description)
    params = {"num-cpus": str(group.machine.cpus)}
    if group.role == "gpu":
        params["num-gpus"] = str(group.machine.gpus)
        params["resources"] = f'"{{\\"accelerator_type:{cloud.fleet.gpu_model}\\": 1}}"'
    return {
        "groupName": group.name.replace("_", "-"),
        "replicas": group.least,
        "minReplicas": group.least,
        "maxReplicas": group.most,
        "priority": PRIORITY[group.market],
        "rayStartParams": params,
        "template": pod,
    }


def _pod(
    description: Description,
    cloud: KubernetesCloud,
    labels: dict[str, str],
    containers: list[Values],
) -> Values:
    return {
        "metadata": {"labels": {LABEL: description.name, **description.tags}},
        "spec": {
            "serviceAccountName": cloud.service_account,
            "terminationGracePeriodSeconds": GRACE_S,
            "nodeSelector": labels,
            # Spot nodes and those with GPUs keep off who does not say that he can bear them.
            "tolerations": [
                {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
                for key, value in labels.items()
            ]
            + [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 100},
            "containers": containers,
        },
    }


def _ray_container(cloud: KubernetesCloud, machine: Machine, name: str) -> Values:
    amounts = {"cpu": str(machine.cpus)}
    if machine.memory_gib is not None:
        amounts["memory"] = f"{machine.memory_gib:g}Gi"
    if machine.gpus:
        amounts["nvidia.com/gpu"] = str(machine.gpus)
    return {
        "name": name,
        "image": cloud.image,
        "env": [{"name": "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "value": str(DRAIN_S)}],
        "resources": _amounts(amounts),
        "securityContext": LOCKED,
    }


def _amounts(amounts: dict[str, str]) -> Values:
    """Asked for and allowed alike, so that nothing is taken away again under pressure."""
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _scratch(description: Description) -> list[Values]:
    size = {"sizeLimit": f"{description.disk_gb}Gi"}
    shm: dict[str, Any] = {"medium": "Memory"}
    return [{"name": "ray", "emptyDir": size}, {"name": "shm", "emptyDir": shm}]


def _scratch_mounts() -> list[Values]:
    return [
        {"name": "ray", "mountPath": "/tmp/ray"},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]


def _submitter(description: Description, cloud: KubernetesCloud) -> Values:
    pod = _pod(
        description,
        cloud,
        cloud.on_demand,
        [
            {
                "name": "submitter",
                "image": cloud.image,
                "resources": _amounts({"cpu": "500m", "memory": "1Gi"}),
                "securityContext": LOCKED,
            }
        ],
    )
    pod["spec"]["restartPolicy"] = "Never"
    return pod


def _guards(description: Description, cloud: KubernetesCloud) -> list[Values]:
    """What keeps the head up, workers from going all at once, and strangers out."""
    mine = {LABEL: description.name}
    budgets = {
        # An eviction of the head ends every run on it.
        "head": ("head", {"maxUnavailable": 0}),
        # One after the other: those who stay go on meanwhile.
        "workers": ("worker", {"maxUnavailable": 1}),
    }
    return [
        *(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": _meta(description, cloud, f"{description.name}-{name}"),
                "spec": {
                    **most,
                    "selector": {"matchLabels": {**mine, "ray.io/node-type": kind}},
                },
            }
            for name, (kind, most) in budgets.items()
        ),
        _network_policy(description, cloud, mine),
    ]


def _network_policy(
    description: Description, cloud: KubernetesCloud, mine: dict[str, str]
) -> Values:
    operator = {"app.kubernetes.io/name": "kuberay-operator"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(description, cloud, description.name),
        "spec": {
            "podSelector": {"matchLabels": mine},
            "policyTypes": ["Ingress"],
            "ingress": [
                # Among themselves: most ports are the system's choice.
                {"from": [{"podSelector": {"matchLabels": mine}}]},
                # The operator asks the head how it and its jobs are.
                {
                    "from": [
                        {"namespaceSelector": {}, "podSelector": {"matchLabels": operator}}
                    ],
                    "ports": [{"protocol": "TCP", "port": DASHBOARD}],
                },
            ],
        },
    }
