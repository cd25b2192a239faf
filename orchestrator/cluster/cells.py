"""The fleet: each cell an ordinary Ray Train run, all of them joined by the quorum alone.

The cells' trainers live in a process of their own that is a Ray job of its own. When it ends,
however it ends, Ray takes back everything that belonged to it: workers, and the placement
groups of cells that still wait for a node, which nothing else gives back for certain.
"""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.backend import Backend, BackendConfig

from orchestrator.cluster.cell import (
    NAMESPACE,
    CellPlan,
    CellShape,
    CellSpec,
    find_actor,
)
from orchestrator.cluster.internals import cell_trainer
from orchestrator.cluster.session import quieten
from orchestrator.cluster.sigterm import heed_sigterm
from orchestrator.errors import FaultError

RESTART_PAUSE_S = 1.0
CONTROLLERS_ON_HEAD = 32
"""Cells whose controller lives on the head; those of more are spread over the cluster."""
WATCHFUL = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # A worker that is frozen, and its node is not: the others miss it long before.
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "60",
    # The journal looks which nodes are about to go, once for all cells.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""How soon a controller looks after its worker (Ray's own are 2 and 600 s), and what it leaves
to others."""
START_S = 60.0
"""How long the journal may take to come."""
FINISH_S = 10.0
"""How long trainers whose workers are done may take to clear up."""

# Imported by its name and not run as a file: what is pickled here is then found elsewhere.
_PROGRAM = "import sys; from orchestrator.cluster.cells import main; main(*sys.argv[1:])"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CellProcess:
    """The process in which the cells' trainers live."""

    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, journal: str) -> "CellProcess":
        """Start it; it waits for the journal, from which it gets its orders.

        Args:
            journal: Name of the journal's actor, which need not be there yet.
        """
        address = ray.get_runtime_context().gcs_address
        command = [sys.executable, "-c", _PROGRAM, address, journal]
        # Its input is never written to: it ends when we do, and so tells the process to end.
        # The environment is copied: a library that sets a variable while another thread forks
        # has the system read it half written.
        environment = dict(os.environ)
        return cls(subprocess.Popen(command, stdin=subprocess.PIPE, env=environment))

    def stop(self) -> None:
        """Have it clear up and end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(2 * FINISH_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def main(address: str, journal: str) -> None:
    """Run the cells that the journal knows of, until the parent is gone or closes our input."""
    # First: a parent that dies while we start is not to leave us behind.
    plans: list[CellPlan] = []
    orphaned = threading.Event()
    threading.Thread(target=_wait_for_end, args=(orphaned, plans), daemon=True).start()
    quieten()
    os.environ.update(WATCHFUL)
    ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    # Who stops a submitted job ends all of its processes at once. Ray would have this one end
    # in Python's way, with threads in it that nothing ends.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    actor = _wait_for(journal)
    plan: CellPlan = ray.get(actor.cells.remote(), timeout=START_S)
    plans.append(plan)
    threads = [
        threading.Thread(target=_keep_running, args=(spec, plan.shape, actor), daemon=True)
        for spec in plan.specs
    ]
    for thread in threads:
        thread.start()
    orphaned.wait()
    end_s = time.monotonic() + FINISH_S
    if _is_over(actor):
        for thread in threads:
            # Those whose workers are done clear up in a second or so. Those that wait for a
            # node would wait for ever: the job's end is theirs.
            thread.join(min(3.0, max(0.0, end_s - time.monotonic())))
    ray.shutdown()
    # The threads of waiting cells cannot be ended any other way.
    os._exit(0)


def _wait_for_end(orphaned: threading.Event, plans: list[CellPlan]) -> None:
    """Note that the parent is gone, or done with us; end where there is nothing to clear up."""
    sys.stdin.buffer.read()
    if not plans:
        os._exit(0)
    orphaned.set()


def _wait_for(journal: str) -> Any:  # noqa: ANN401 - an actor's handle
    end_s = time.monotonic() + START_S
    while True:
        try:
            return find_actor(journal)
        except ValueError:
            # Ray's word for "not yet".
            if time.monotonic() > end_s:
                raise FaultError(
                    f"no journal after {START_S:.0f} s",
                    "cluster.cells",
                    "Look at the head node",
                ) from None
            time.sleep(0.1)


def _keep_running(spec: CellSpec, shape: CellShape, journal: Any) -> None:  # noqa: ANN401
    while not _is_over(journal):
        try:
            _trainer(spec, shape).fit()
        except Exception as error:
            # Its controller died, or gave up: the cell itself has not.
            log.exception("cell %d is started anew", spec.cell)
            with suppress(ray.exceptions.RayError):
                ray.get(journal.not_started.remote(spec.cell, repr(error)), timeout=START_S)
        time.sleep(RESTART_PAUSE_S)


def _is_over(journal: Any) -> bool:  # noqa: ANN401 - an actor's handle
    try:
        return ray.get(journal.outcome.remote(), timeout=START_S) is not None
    except ray.exceptions.RayActorError:
        return True
    except ray.exceptions.GetTimeoutError:
        return False


class HeedingBackend(Backend):  # type: ignore[misc]
    """Has a worker's main thread note a SIGTERM: the train function runs in another."""

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:  # noqa: ANN401
        del backend_config
        worker_group.execute(heed_sigterm)


class CellBackend(BackendConfig):  # type: ignore[misc]
    """What Ray Train sets up in a cell's worker: nothing else, cells find each other alone."""

    @property
    def backend_cls(self) -> type[Backend]:
        return HeedingBackend


def _trainer(spec: CellSpec, shape: CellShape) -> Any:  # noqa: ANN401 - Ray ships no types
    resources = {"CPU": shape.cpus, **({"GPU": 1} if shape.gpu else {}), **shape.others}
    return cell_trainer(on_head=spec.cell < CONTROLLERS_ON_HEAD)(
        train_cell,
        train_loop_config={"spec": spec},
        backend_config=CellBackend(),
        scaling_config=ScalingConfig(
            num_workers=shape.workers, use_gpu=shape.gpu, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=f"cell{spec.cell}",
            storage_path=spec.lease.store.child("cells").url,
            # Faults have no budget: what the job itself does wrong ends the run another way.
            failure_config=FailureConfig(max_failures=-1, controller_failure_limit=-1),
        ),
    )


def train_cell(config: dict[str, CellSpec]) -> None:
    """What Ray Train calls in a cell's worker."""
    # What is imported stays. The garbage collector would go through all of it over and over,
    # a sixth of the time while it grows, and afterwards beside every step.
    gc.disable()
    try:
        from orchestrator.cluster.worker import run_cell  # noqa: PLC0415 - torch, transformers
    finally:
        gc.freeze()
        gc.enable()
    run_cell(config["spec"])
