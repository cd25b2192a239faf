"""The fleet: each cell an ordinary Ray Train run, all of them joined by the quorum alone.

The cells' trainers live in a process of their own that is a Ray job of its own. When it ends,
however it ends, Ray takes back everything that belonged to it: workers, and the placement
groups of cells that still wait for a node, which nothing else gives back for certain.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from orchestrator.cluster.cell import (
    NAMESPACE,
    CellPlan,
    CellShape,
    CellSpec,
    find_actor,
)
from orchestrator.cluster.session import quieten
from orchestrator.errors import FaultError

RESTART_PAUSE_S = 1.0
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
        return cls(subprocess.Popen(command, stdin=subprocess.PIPE))

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
    quieten()
    ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    actor = _wait_for(journal)
    plan: CellPlan = ray.get(actor.cells.remote())
    threads = [
        threading.Thread(target=_keep_running, args=(spec, plan.shape, actor), daemon=True)
        for spec in plan.specs
    ]
    for thread in threads:
        thread.start()
    sys.stdin.buffer.read()
    end_s = time.monotonic() + FINISH_S
    if _is_over(actor):
        for thread in threads:
            # Those whose workers are done clear up in a second or so. Those that wait for a
            # node would wait for ever: the job's end is theirs.
            thread.join(min(3.0, max(0.0, end_s - time.monotonic())))
    ray.shutdown()
    # The threads of waiting cells cannot be ended any other way.
    os._exit(0)


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
        except Exception:
            # Its controller died, or gave up: the cell itself has not.
            log.exception("cell %d is started anew", spec.cell)
        time.sleep(RESTART_PAUSE_S)


def _is_over(journal: Any) -> bool:  # noqa: ANN401 - an actor's handle
    try:
        return ray.get(journal.outcome.remote()) is not None
    except ray.exceptions.RayActorError:
        return True


def _trainer(spec: CellSpec, shape: CellShape) -> Any:  # noqa: ANN401 - Ray ships no types
    resources = {"CPU": shape.cpus, **({"GPU": 1} if shape.gpu else {}), **shape.others}
    return TorchTrainer(
        train_cell,
        train_loop_config={"spec": spec},
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(
            num_workers=1, use_gpu=shape.gpu, resources_per_worker=resources
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
    from orchestrator.cluster.worker import run_cell  # noqa: PLC0415 - torch, transformers

    run_cell(config["spec"])
