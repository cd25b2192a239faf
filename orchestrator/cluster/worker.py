"""What runs in every cell, in the process that Ray Train starts, watches and restarts."""

import os
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from orchestrator.cluster.cell import CellSpec, find_actor
from orchestrator.cluster.handout import HandOutClient
from orchestrator.cluster.journal import Failure, Process
from orchestrator.cluster.quorum import CellPeers
from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import FaultError, JobError, LeaseError, StorageError
from orchestrator.models.determinism import nondeterminism
from orchestrator.models.device import pick_device
from orchestrator.models.export import save_adapter
from orchestrator.models.lora import trained_tensors
from orchestrator.plan.steps import Part, Slot, StepPlan
from orchestrator.storage import Store
from orchestrator.tracking.events import EventValue, make_event
from orchestrator.train.background import STATE, BackgroundCheckpoints
from orchestrator.train.checkpoint import (
    Checkpoint,
    TornCheckpoint,
    latest_checkpoint,
    write_checkpoint,
)
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.loop import Loop, Membership
from orchestrator.train.numeric import numeric_class
from orchestrator.train.result import ADAPTER
from orchestrator.train.state import Replica

CALL_TIMEOUT_S = 120.0
"""The longest a worker waits for the journal."""


def run_cell(spec: CellSpec) -> None:
    """Train one cell until the run is over.

    Whatever a machine may do to us is raised: Ray Train then starts this function anew. What
    the job itself did wrong is told to the journal, once, and ends the run for everybody:
    starting it again would only fail again.
    """
    try:
        _train(spec)
    except LeaseError:
        # Another driver holds the run by now; this cell's own will hear the same.
        return
    except (FaultError, ray.exceptions.RayError):
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of an actor
        _tell(spec, "fail", Failure.of(error))


def _train(spec: CellSpec) -> None:
    job = Job.model_validate_json(spec.job_json)
    store = spec.lease.store
    device = pick_device(job.scale.gpu)
    learner = VisionLanguageLearner.load(job, device)
    process = Process(ray.get_runtime_context().get_node_id(), os.getpid())
    _tell(spec, "admit", spec.cell, process, numeric_class(device))
    replica = Replica(trained_tensors(learner.model), weight_decay=job.train.weight_decay)
    checkpoint, torn = _newest_checkpoint(store)
    reporter = Reporter(spec)
    for what in nondeterminism(device):
        reporter.record("nondeterministic", what=what)
    for damaged in torn:
        reporter.record("checkpoint_failed", step=damaged.step, reason=damaged.reason)
    if checkpoint is not None:
        replica.load_bytes(checkpoint.files[STATE])
    peers = CellPeers(
        replica,
        cell=spec.cell,
        min_workers=job.scale.workers[0],
        lighthouse=spec.lighthouse,
        token=spec.token,
        watch=lambda quorum_id, cells: reporter.quorum(quorum_id, cells, replica),
    )
    checkpoints = BackgroundCheckpoints(
        store, job.train.keep_checkpoints, spec.lease.check, reporter.record
    )
    observer = Observer(reporter, checkpoints, job.train.checkpoint_every_steps)
    batches = Batches(HandOutClient(find_actor(spec.handout)), spec.left_out)
    Loop(replica, job.train, spec.terms, batches, learner, peers, observer).run()
    peers.leave()
    checkpoints.close()
    _write_result(spec, store, learner, replica, reporter)


def _newest_checkpoint(store: Store) -> tuple[Checkpoint | None, tuple[TornCheckpoint, ...]]:
    """As ``latest_checkpoint``; a store that balks, or prunes as we read, is asked anew."""
    try:
        return latest_checkpoint(store)
    except StorageError as error:
        raise FaultError(error.problem, error.where, error.fix) from error


def _write_result(
    spec: CellSpec,
    store: Store,
    learner: VisionLanguageLearner,
    replica: Replica,
    reporter: "Reporter",
) -> None:
    """Have one cell write the final checkpoint and the adapter; return once it is there."""
    while _tell(spec, "outcome") is None:
        if not _tell(spec, "is_writer", spec.cell):
            time.sleep(0.2)
            continue
        state = {STATE: replica.to_bytes()}
        write_checkpoint(store, replica.progress.step, state, spec.lease.check)
        # After the checkpoint: what fails here is then not trained again.
        reporter.flush()
        with tempfile.TemporaryDirectory() as folder:
            save_adapter(learner.model, Path(folder))
            for file in sorted(Path(folder).iterdir()):
                store.write(f"{ADAPTER}/{file.name}", file.read_bytes())
        _tell(spec, "finish", replica.weights_sha256())


def _tell(spec: CellSpec, method: str, *args: Any) -> Any:  # noqa: ANN401 - the journal's own
    journal = find_actor(spec.journal)
    return ray.get(getattr(journal, method).remote(*args), timeout=CALL_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Batches:
    """Micro-batches from the hand-out: ``train.loop.Batches``, each held against the plan."""

    client: HandOutClient
    left_out: frozenset[Slot]
    """Of the training data: what an earlier life of the run found empty."""

    def step_plan(self, part: Part, step: int) -> StepPlan:
        return self.client.step_plan(part, step)

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch:
        address = plan.address(micro)
        batch = MicroBatch.from_table(self.client.fetch_table(part, address))
        found = sorted([*batch.samples, *(fault.sample for fault in batch.faults)])
        # Sorted and not a set: a data set of weight 2 may have a sample here twice.
        planned = sorted(
            sample
            for sample in plan.micros[micro].samples
            if part == "eval" or (plan.epoch, plan.step, sample) not in self.left_out
        )
        if batch.address != address or found != planned:
            raise JobError(
                f"asked for micro-batch {tuple(address)} and got {tuple(batch.address)} "
                f"with samples {found}",
                "cluster.handout",
                "This is a bug; the run can be resumed",
            )
        return batch


class Reporter:
    """Tells the journal what happens, without waiting for it."""

    def __init__(self, spec: CellSpec) -> None:
        self._spec = spec
        self._journal = find_actor(spec.journal)
        # A few suffice: calls can overtake each other, but not by far.
        self._told: deque[Any] = deque(maxlen=64)

    def record(self, kind: str, **fields: EventValue) -> None:
        """Hand an event on. The clock is this worker's."""
        event = make_event(kind, wall_s=None, cell=self._spec.cell, **fields)
        self._told.append(self._journal.record.remote([event]))

    def quorum(self, quorum_id: int, cells: tuple[int, ...], replica: Replica) -> None:
        """Report a new membership."""
        progress = replica.progress
        told = self._journal.quorum.remote(quorum_id, cells, progress.step, progress.round)
        self._told.append(told)

    def flush(self) -> None:
        """Return once everything told has been written."""
        ray.get(list(self._told), timeout=CALL_TIMEOUT_S)

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        """Return once these empty slots are in the ledger."""
        slots = [
            make_event(
                "empty_slot",
                part=part,
                epoch=batch.address.epoch,
                step=batch.address.step,
                sample=fault.sample,
                id=fault.id,
                reason=fault.reason,
            )
            for fault in batch.faults
        ]
        _tell(self._spec, "empty_slots", slots)


@dataclass(frozen=True, slots=True)
class Observer:
    """What the loop reports to: ``train.loop.Observer``."""

    reporter: Reporter
    checkpoints: BackgroundCheckpoints
    checkpoint_every_steps: int

    def record(self, kind: str, **fields: EventValue) -> None:
        self.reporter.record(kind, **fields)

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        self.reporter.empty_slots(part, batch)

    def step_done(self, replica: Replica, membership: Membership) -> None:
        step = replica.progress.step
        if membership.rank == 0 and step % self.checkpoint_every_steps == 0:
            self.checkpoints.offer(step, replica.to_bytes())
