"""Every use of a Ray internal, behind one version test.

What is here may move between minor versions of Ray: ``check_version`` fails loudly before it
can fail quietly.
"""

import os
import secrets
from collections.abc import Iterator
from typing import Any

import ray
from ray._raylet import Config  # type: ignore[attr-defined]
from ray.data._internal.execution import resource_manager, streaming_executor_state

from orchestrator.errors import JobError

RAY_VERSION = "2.60"
LIMITS_EVERY_S = 0.1
LOOK_EVERY_S = 0.02
"""How often a pipeline of Ray Data looks what it may use, and which of its tasks are done."""
HEAD_RESOURCE = "node:__internal_head__"
"""A resource that Ray gives to the head node of every cluster, and to no other."""


def check_version() -> None:
    """Refuse to run on a Ray whose internals were not looked at.

    Raises:
        JobError: Another minor version is installed.
    """
    if not ray.__version__.startswith(f"{RAY_VERSION}."):
        raise JobError(
            f"Ray {ray.__version__} is installed, this was built on {RAY_VERSION}",
            "cluster.internals",
            f"Install ray=={RAY_VERSION}.*, or look at what this file uses and move it there",
        )


def require_token() -> None:
    """Have this process, and every Ray process that it starts, ask for a token of its own."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Ray reads the environment once, as it is imported.
    Config.initialize("")


def start_on_head(kind: type, *args: Any, **options: Any) -> Any:  # noqa: ANN401
    """Start an actor on the head node, where spot instances do not go.

    Args:
        kind: A plain class.
        args: Its arguments.
        options: Options of the actor, as ``max_concurrency``.
    """
    head = {HEAD_RESOURCE: 0.001}
    return ray.remote(kind).options(num_cpus=0, resources=head, **options).remote(*args)


def block_refs(
    dataset: Any,  # noqa: ANN401 - Ray ships no types
    look_every_s: float = LOOK_EVERY_S,
) -> Iterator[Any]:
    """Run a dataset and give its blocks' references, in order, as they are made.

    Args:
        dataset: A dataset of Ray's.
        look_every_s: How soon a task that ends is followed by another; each look takes some
            milliseconds. It holds for all pipelines of the process.
    """
    # By default a pipeline runs one task at a time for its first two seconds, until it looks
    # what it may use, and a task that ends is not followed by another for a tenth of one.
    resource_manager.ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S = LIMITS_EVERY_S
    streaming_executor_state.WAIT_FOR_TASK_COMPLETION_TIMEOUT_S = look_every_s
    for bundle in dataset.iter_internal_ref_bundles():
        for entry in bundle.blocks:
            yield entry.ref
