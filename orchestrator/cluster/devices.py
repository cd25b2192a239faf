"""How much memory the smallest device has that a job may land on."""

import subprocess
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.config.job import Job
from orchestrator.errors import ConfigError

GIB = 1 << 30
HOST_SHARE = 0.5
"""Of the memory that Ray offers on a host, for what its workers compute with; rendering and
Ray's own processes have the rest."""
ASK_S = 60.0
"""How long a node may take to tell about its GPUs."""
_MIB = 1 << 20
_QUERY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Device:
    """The smallest device that a job allows."""

    memory_bytes: int
    """For one worker."""
    on_gpu: bool
    told_by: str
    """The job, or the machine that has it."""


def uses_gpu(job: Job) -> bool:
    """Whether workers are to have a GPU, in the cluster as it is. A Ray session is open."""
    wants = job.scale.gpu
    found: bool = ray.cluster_resources().get("GPU", 0) > 0 if wants == "auto" else wants
    return found


def smallest_device(job: Job) -> Device:
    """Find the smallest device: what the job says of it counts. A Ray session is open.

    On a CPU a worker has its part of a share of its host's memory.

    Raises:
        ConfigError: No machine is there that could tell.
    """
    on_gpu = uses_gpu(job)
    if job.scale.device_memory_gib is not None:
        told = int(job.scale.device_memory_gib * GIB)
        return Device(told, on_gpu, "scale.device_memory_gib")
    wanted = {"GPU" if on_gpu else "CPU", *job.scale.resources}
    nodes = [
        node for node in ray.nodes() if node["Alive"] and wanted <= node["Resources"].keys()
    ]
    sizes = _ask_gpus(nodes) if on_gpu else [(_host_part(job, node), node) for node in nodes]
    if not sizes:
        raise ConfigError(
            f"no machine with {' and '.join(sorted(wanted))} is there to tell its memory",
            "scale.device_memory_gib",
            "Set it to the memory of the smallest device that may come, in GiB",
        )
    size, node = min(sizes, key=lambda found: found[0])
    return Device(size, on_gpu, f"node {node['NodeManagerAddress']}")


def _host_part(job: Job, node: Any) -> int:  # noqa: ANN401 - as Ray tells it
    cpus = int(node["Resources"]["CPU"]) // job.scale.cpus_per_worker
    workers = max(1, min(cpus, job.scale.workers[1]))
    return int(node["Resources"].get("memory", 0) * HOST_SHARE / workers)


def _ask_gpus(nodes: list[Any]) -> list[tuple[int, Any]]:
    asked = [
        ray.remote(_gpu_bytes)
        .options(
            # Without a GPU of its own, which might be a long time coming: the driver's tool
            # sees them all.
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        .remote()
        for node in nodes
    ]
    try:
        sizes = ray.get(asked, timeout=ASK_S)
    except ray.exceptions.GetTimeoutError:
        sizes = [[]]
    found = [(min(each), node) for each, node in zip(sizes, nodes, strict=False) if each]
    if len(found) < len(nodes):
        raise ConfigError(
            "a machine does not tell the memory of its GPUs",
            "scale.device_memory_gib",
            "Set it to the memory of the smallest GPU that may come, in GiB",
        )
    return found


def _gpu_bytes() -> list[int]:
    try:
        told = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    return [int(line) * _MIB for line in told.stdout.split()]
