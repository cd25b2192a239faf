"""Every use of a Ray internal, behind one version test.

What is here may move between minor versions of Ray: ``check_version`` fails loudly before it
can fail quietly.
"""

import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.services import find_bootstrap_address
from ray._raylet import Config, GcsClient, NodeID  # type: ignore[attr-defined]
from ray.core.generated import autoscaler_pb2, gcs_pb2
from ray.exceptions import AuthenticationError, RayError

from orchestrator.errors import FaultError, InputError, JobError

RAY_VERSION = "2.60"
LIMITS_EVERY_S = 0.1
LOOK_EVERY_S = 0.02
"""How often a pipeline of Ray Data looks what it may use, and which of its tasks are done."""
UNUSED_CALLBACKS = frozenset(
    {
        "DatasetsCallback",  # micro-batches come by address
        "PlacementGroupCleanerCallback",  # the cells' Ray job ends, and takes its groups along
        "ControllerMetricsCallback",
        "WorkerMetricsCallback",
    }
)
"""What Ray Train would start beside each cell, the first two as processes of 200 MB."""
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
    actor = ray.remote(kind).options(
        num_cpus=0,
        resources=head,
        # Said, or whoever is in a placement group itself, as a trial is, starts it in there.
        scheduling_strategy="DEFAULT",
        **options,
    )
    return actor.remote(*args)


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
    # Imported here: it takes 100 MB, which the watchman of every node would carry along.
    from ray.data._internal.execution import (  # noqa: PLC0415
        resource_manager,
        streaming_executor_state,
    )

    # By default a pipeline runs one task at a time for its first two seconds, until it looks
    # what it may use, and a task that ends is not followed by another for a tenth of one.
    resource_manager.ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S = LIMITS_EVERY_S
    streaming_executor_state.WAIT_FOR_TASK_COMPLETION_TIMEOUT_S = look_every_s
    for bundle in dataset.iter_internal_ref_bundles():
        for entry in bundle.blocks:
            yield entry.ref


GCS_TIMEOUT_S = 2.0
"""The longest that a question to the GCS takes. Answered, it takes less than a millisecond."""
_NOTES = b"orchestrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """A node of the cluster, and where its raylet listens."""

    node_id: str
    """In hex, as everywhere."""

    host: str
    port: int
    is_head: bool


def cluster_address(address: str | None) -> str:
    """Where the GCS is: as named, by ``RAY_ADDRESS``, or as ``ray start`` noted it here.

    Raises:
        InputError: There is no such note either, or the address is not one of a GCS.
    """
    found = address or os.environ.get("RAY_ADDRESS") or find_bootstrap_address(None)
    if not found:
        raise InputError(
            "no Ray cluster is known on this machine",
            "--address",
            "Run ray start first, or give the cluster's host:port",
        )
    if "://" in found or not found.rpartition(":")[2].isdecimal():
        raise InputError(f"{found!r} is not host:port", "--address", "Give host:port")
    return str(found)


def connect_gcs(address: str) -> Any:  # noqa: ANN401 - Ray ships no types
    """A client of the GCS, for one process to share; it starts no worker and joins nothing.

    Args:
        address: As ``cluster_address`` gives it.

    Raises:
        FaultError: Nobody listens there; said within ``GCS_TIMEOUT_S``, but by Ray itself only
            after 40 s where a connection is made and nothing comes back.
        InputError: This process has not the cluster's token.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), GCS_TIMEOUT_S).close()
    except OSError as error:
        raise _no_answer(str(error)) from error
    try:
        return GcsClient(address=address)
    except AuthenticationError as error:
        raise InputError(
            "the cluster refuses this process's token",
            address,
            "Give RAY_AUTH_MODE and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH as to ray start",
        ) from error
    except RayError as error:
        raise _no_answer(str(error)) from error


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except RayError as error:
        raise _no_answer(str(error)) from error


def _no_answer(why: str) -> FaultError:
    return FaultError(
        f"Ray's GCS gives no answer: {why.splitlines()[0] if why else 'no reason given'}",
        "cluster.internals",
        "See whether the head node is up",
    )


def alive_nodes(client: Any) -> dict[str, NodeInfo]:  # noqa: ANN401
    """The nodes of the cluster that are alive, by id; those that drain are among them.

    Raises:
        FaultError: The GCS does not answer within ``GCS_TIMEOUT_S``.
    """
    return {
        node.hex(): NodeInfo(
            node_id=node.hex(),
            host=info.node_manager_address,
            port=info.node_manager_port,
            is_head=info.is_head_node,
        )
        for node, info in _nodes(client, gcs_pb2.GcsNodeInfo.ALIVE).items()
    }


def dead_nodes(client: Any) -> set[str]:  # noqa: ANN401
    """Ids of the nodes that are dead; Ray remembers the last thousand.

    Raises:
        FaultError: The GCS does not answer within ``GCS_TIMEOUT_S``.
    """
    return {node.hex() for node in _nodes(client, gcs_pb2.GcsNodeInfo.DEAD)}


def _nodes(client: Any, state: int) -> dict[Any, Any]:  # noqa: ANN401
    with _asking():
        found: dict[Any, Any] = client.get_all_node_info(
            timeout=GCS_TIMEOUT_S, state_filter=state
        )
        return found


def is_alive(client: Any, node_id: str) -> bool:  # noqa: ANN401
    """Whether a node is alive; one that nobody ever heard of is not.

    Raises:
        FaultError: The GCS does not answer within ``GCS_TIMEOUT_S``.
    """
    with _asking():
        return bool(client.check_alive([NodeID.from_hex(node_id)], timeout=GCS_TIMEOUT_S)[0])


def raylet_pid(node: Any) -> int:  # noqa: ANN401 - as ``ray.cluster_utils`` has it
    """The process of a local node from which all others of that node come."""
    return int(node.all_processes["raylet"][0].process.pid)


def draining_nodes(client: Any) -> dict[str, float]:  # noqa: ANN401
    """Nodes that are to go, by id, with when they do.

    A node on which nothing runs leaves as soon as it is drained, and is then among the dead.

    Returns:
        Seconds since 1970; 0 where no deadline was given.

    Raises:
        FaultError: The GCS does not answer within ``GCS_TIMEOUT_S``.
    """
    with _asking():
        found = client.get_draining_nodes(timeout=GCS_TIMEOUT_S)
    return {str(node_id): deadline_ms / 1000 for node_id, deadline_ms in found.items()}


def drain_node(
    client: Any,  # noqa: ANN401
    node_id: str,
    deadline_s: float | None,
    why: str,
) -> None:
    """Have Ray put nothing more on a node, and tell all who ask that it will be taken.

    It cannot be undone. Done again, the later deadline holds. Ray accepts this for a node that
    it does not know, and nothing follows.

    Args:
        client: Of the GCS.
        node_id: In hex: as bytes it would be accepted, and nothing would follow either.
        deadline_s: Seconds since 1970, also past; None where there is none.
        why: A person may read it in Ray's dashboard.

    Raises:
        FaultError: The GCS does not answer within ``GCS_TIMEOUT_S``, or refuses.
    """
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline_ms = 0 if deadline_s is None else max(1, round(deadline_s * 1000))
    with _asking():
        accepted, refusal = client.drain_node(
            node_id, reason, why, deadline_ms, timeout=GCS_TIMEOUT_S
        )
    if not accepted:
        raise FaultError(f"Ray refuses to drain {node_id}: {refusal}", "GCS", "Try again")


def leave_note(
    client: Any,  # noqa: ANN401
    kind: str,
    node_id: str,
    note: dict[str, str | float],
) -> None:
    """Keep a word about a node where the head finds it; a later one of its kind replaces it.

    Raises:
        FaultError: The GCS does not answer within ``GCS_TIMEOUT_S``.
    """
    key = f"{kind}:{node_id}".encode()
    with _asking():
        client.internal_kv_put(key, json.dumps(note).encode(), True, _NOTES, GCS_TIMEOUT_S)  # noqa: FBT003 - overwrite


def notes(client: Any, kind: str = "rebalance") -> dict[str, dict[str, str | float]]:  # noqa: ANN401
    """The notes of one kind, by node; also of nodes that are dead by now.

    Raises:
        FaultError: The GCS does not answer within ``GCS_TIMEOUT_S``, each of two times.
    """
    prefix = f"{kind}:".encode()
    with _asking():
        keys = client.internal_kv_keys(prefix, _NOTES, GCS_TIMEOUT_S)
        found = client.internal_kv_multi_get(keys, _NOTES, GCS_TIMEOUT_S) if keys else {}
    return {key.removeprefix(prefix).decode(): json.loads(note) for key, note in found.items()}


def cell_trainer(on_head: bool) -> type:  # noqa: FBT001
    """Ray Train's trainer, less what a cell has no use for.

    Its controller loads no torch, no data set or placement group is watched over, and one
    worker alone has no process to meet others in.

    Args:
        on_head: Keep the controller beside the process that calls ``fit``; else Ray spreads
            controllers over the cluster. Its own ``TorchTrainer`` does the former, whatever
            their number.
    """
    from ray.train.v2._internal.constants import get_env_vars_to_propagate  # noqa: PLC0415
    from ray.train.v2._internal.execution.callback import ControllerCallback  # noqa: PLC0415
    from ray.train.v2._internal.execution.controller import TrainController  # noqa: PLC0415
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer  # noqa: PLC0415

    class MeetingNobody(ControllerCallback):  # type: ignore[misc]
        """Told in the controller's process before it starts a worker."""

        def after_controller_start(self, train_run_context: Any) -> None:  # noqa: ANN401
            del train_run_context
            leave_out_meetings()

    class CellTrainer(DataParallelTrainer):  # type: ignore[misc]
        """One cell's trainer."""

        controller: Any = None
        """The actor that runs it; None before it was started."""

        def _create_default_callbacks(self) -> list[Any]:
            made = super()._create_default_callbacks()
            used = [each for each in made if type(each).__name__ not in UNUSED_CALLBACKS]
            return [*used, MeetingNobody()] if self.scaling_config.num_workers == 1 else used

        def _initialize_and_run_controller(self, **given: Any) -> Any:  # noqa: ANN401
            here = {ray._raylet.RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}  # noqa: SLF001
            place = {"label_selector": here} if on_head else {"scheduling_strategy": "SPREAD"}
            actor = ray.remote(TrainController).options(
                num_cpus=0, runtime_env={"env_vars": get_env_vars_to_propagate()}, **place
            )
            self.controller = actor.remote(**given)
            ray.get(self.controller.run.remote())
            return ray.get(self.controller.get_result.remote())

    return CellTrainer


class NoMeetings:
    """Stands where a controller keeps the actor in which its workers meet."""

    @classmethod
    def options(cls, **given: Any) -> type["NoMeetings"]:  # noqa: ANN401
        """As of an actor's class."""
        del given
        return cls

    @classmethod
    def remote(cls, **given: Any) -> "NoMeetings":  # noqa: ANN401
        """As of an actor's class: starts nothing."""
        del given
        return cls()


def leave_out_meetings() -> None:
    """Let this process, a controller's, start no actor for its worker to meet others in.

    It would be one more process of 100 MB a cell, and three seconds of a processor each time
    that the cell starts.
    """
    from ray.train.v2._internal.execution.worker_group import state, worker_group  # noqa: PLC0415

    worker_group.SynchronizationActor = NoMeetings
    state._shutdown_sync_actor = lambda _: None  # noqa: SLF001
