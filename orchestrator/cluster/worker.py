"""What runs in every cell, in the process that Ray Train starts, watches and restarts."""

import os
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

import ray

from orchestrator.cluster.attendant import Attendant
from orchestrator.cluster.cell import CellSpec, find_actor
from orchestrator.cluster.crew import crew_of, join_crew, kinds_of
from orchestrator.cluster.fetching import Batches, HandOutClient
from orchestrator.cluster.outcome import Failure
from orchestrator.cluster.patience import patiently
from orchestrator.cluster.quorum import CellPeers, CellSeat
from orchestrator.cluster.roster import Orders, Process
from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import FaultError, LeaseError, StorageError
from orchestrator.models.determinism import nondeterminism
from orchestrator.models.device import peak_memory_mb, pick_device
from orchestrator.models.export import save_adapter
from orchestrator.models.lora import trained_tensors
from orchestrator.plan.steps import Part
from orchestrator.policy.joining import Admit, Refuse, Start, Wait
from orchestrator.storage import Store
from orchestrator.tracking.events import EventValue, make_event
from orchestrator.train.background import STATE, BackgroundCheckpoints
from orchestrator.train.checkpoint import (
    Checkpoint,
    TornCheckpoint,
    latest_checkpoint,
    write_checkpoint,
)
from orchestrator.train.contracts import Crew, Departures, Membership, Wishes
from orchestrator.train.crew import Source
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.lease import age_s
from orchestrator.train.loop import Loop
from orchestrator.train.numeric import numeric_class
from orchestrator.train.orders import LEADER
from orchestrator.train.result import ADAPTER
from orchestrator.train.state import Replica

CALL_TIMEOUT_S = 120.0
"""The longest a worker waits for the journal."""
ASK_AGAIN_S = 2.0
"""How often a cell that has to wait asks whether it may join by now."""
ATTEND_TIMEOUT_S = 10.0
"""The longest it waits to hear what it is to do; it asks again."""


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
    device = pick_device(job.scale.gpu)
    groups = join_crew(device)
    if groups is None or groups.rank == LEADER:
        _wait_to_load(spec)
    learner = VisionLanguageLearner.load(job, device, groups.mesh if groups else None)
    kinds = kinds_of(groups, numeric_class(device))
    replica = Replica(trained_tensors(learner.model), weight_decay=job.train.weight_decay)
    reporter = Reporter(spec)
    batches = Batches(HandOutClient(find_actor(spec.handout)), spec.left_out)
    with crew_of(groups, replica, learner, Source(batches, reporter)) as crew:
        if crew is None:
            return
        for kind in kinds:
            _tell(spec, "admit", spec.cell, _this_process(), kind)
        for what in nondeterminism(device):
            reporter.record("nondeterministic", what=what)
        end = _Seat(spec, job, replica, reporter, batches).take(crew)
    if end == "done":
        _write_result(spec, spec.lease.store, learner, replica, reporter)


def _wait_to_load(spec: CellSpec) -> None:
    """Return once this worker may load its model: those of a node share its memory."""
    while not isinstance(_tell(spec, "may_load", spec.cell, _this_process()), Start):
        time.sleep(ASK_AGAIN_S)


def _this_process() -> Process:
    return Process(ray.get_runtime_context().get_node_id(), os.getpid(), age_s())


@dataclass(frozen=True)
class _Seat:
    """A cell's place among the others, and all that it takes to keep it."""

    spec: CellSpec
    job: Job
    replica: Replica
    reporter: "Reporter"
    batches: "Batches"

    def take(self, crew: Crew) -> Literal["done", "left"]:
        """Train with the others until all is done, or this cell is let go."""
        if not self._wait_to_join():
            return "left"
        self._load_checkpoint()
        train = self.job.train
        checkpoints = BackgroundCheckpoints(
            self.spec.lease.store,
            train.keep_checkpoints,
            self.spec.lease.check,
            self.reporter.record,
        )
        peers = self._peers()
        attendant = Attendant(
            self.reporter.attend,
            self.replica,
            checkpoints,
            waiting_since_s=lambda: peers.waiting_since_s,
            say_leaving=self.reporter.leaving,
        )
        observer = Observer(
            self.reporter,
            checkpoints,
            attendant,
            every_steps=train.checkpoint_every_steps,
            min_workers=self.job.scale.cells[0],
        )
        loop = Loop(self.replica, train, self.spec.terms, self.batches, crew, peers, observer)
        end = loop.run()
        peers.leave()
        attendant.close()
        checkpoints.close()
        return end

    def _wait_to_join(self) -> bool:
        """Return once this cell may join; False where it may not, on this node."""
        while True:
            admission = _tell(self.spec, "may_join", self.spec.cell)
            match admission:
                case Admit():
                    return True
                case Wait(seconds=seconds):
                    time.sleep(min(seconds, ASK_AGAIN_S))
                case Refuse():
                    return False
                case _:
                    assert_never(admission)

    def _load_checkpoint(self) -> None:
        checkpoint, torn = _newest_checkpoint(self.spec.lease.store)
        for damaged in torn:
            self.reporter.record("checkpoint_failed", step=damaged.step, reason=damaged.reason)
        if checkpoint is not None:
            self.replica.load_bytes(checkpoint.files[STATE])

    def _peers(self) -> CellPeers:
        spec, reporter = self.spec, self.reporter
        seat = CellSeat(
            cell=spec.cell,
            host=ray.util.get_node_ip_address(),
            lighthouse=_tell(spec, "lighthouse"),
            token=spec.token,
            min_workers=self.job.scale.cells[0],
        )
        return CellPeers(
            self.replica,
            seat,
            watch=lambda number, cells: reporter.quorum(number, cells, self.replica),
            goes_on=lambda: _tell(spec, "outcome") is None,
        )


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
    """Have one cell write the last checkpoint and the adapter; return once it is there.

    A run that pauses has no adapter yet.
    """
    while _tell(spec, "outcome") is None:
        if not _tell(spec, "is_writer", spec.cell):
            time.sleep(0.2)
            continue
        state = {STATE: replica.to_bytes()}
        step = replica.progress.step
        patiently(lambda: write_checkpoint(store, step, state, spec.lease.check))  # noqa: B023
        # After the checkpoint: what fails here is then not trained again.
        reporter.flush()
        if step < spec.terms.num_steps:
            _tell(spec, "pause", replica.weights_sha256(), step)
            continue
        with tempfile.TemporaryDirectory() as folder:
            save_adapter(learner.model, Path(folder))
            for file in sorted(Path(folder).iterdir()):
                content = file.read_bytes()
                patiently(lambda: store.write(f"{ADAPTER}/{file.name}", content))  # noqa: B023
        _tell(spec, "finish", replica.weights_sha256())


def _tell(spec: CellSpec, method: str, *args: Any) -> Any:  # noqa: ANN401 - the journal's own
    journal = find_actor(spec.journal)
    return ray.get(getattr(journal, method).remote(*args), timeout=CALL_TIMEOUT_S)


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

    def attend(self, round_: int, waiting_s: float | None) -> Orders:
        """Say how this worker is; what it is to do."""
        told = self._journal.attend.remote(self._spec.cell, os.getpid(), round_, waiting_s)
        orders: Orders = ray.get(told, timeout=ATTEND_TIMEOUT_S)
        return orders

    def leaving(self, reason: str) -> None:
        """Return once it is known that this worker leaves."""
        _tell(self._spec, "leaving", self._spec.cell, os.getpid(), reason)

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

    def halved(self, batch: MicroBatch, *, parts: int) -> None:
        """Return once it is durable that the run is not exact any more."""
        step, micro = batch.address.step + 1, batch.address.micro
        cell = self._spec.cell
        event = make_event("halved", step=step, micro=micro, parts=parts, cell=cell)
        _tell(self._spec, "halved", event)


@dataclass(slots=True)
class Observer:
    """What the loop reports to: ``train.contracts.Observer``."""

    reporter: Reporter
    checkpoints: BackgroundCheckpoints
    attendant: Attendant
    every_steps: int
    """Steps between checkpoints."""
    min_workers: int
    _last_step: int = 0

    def record(self, kind: str, **fields: EventValue) -> None:
        if kind == "step":
            fields["peak_memory_mb"] = peak_memory_mb()
        self.reporter.record(kind, **fields)

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        self.reporter.empty_slots(part, batch)

    def halved(self, batch: MicroBatch, *, parts: int) -> None:
        self.reporter.halved(batch, parts=parts)

    def wishes(self) -> Wishes:
        return self.attendant.wishes()

    def is_regrouping(self) -> bool:
        return self.attendant.is_regrouping()

    def round_done(
        self, replica: Replica, membership: Membership, departures: Departures
    ) -> None:
        self.attendant.round_done()
        left = membership.world_size - departures.num_leaving
        must_save = departures.num_leaving > 0 and left < self.min_workers
        is_due = self._is_due(replica)
        if membership.rank == 0 and (must_save or departures.num_saving or is_due):
            state = replica.to_buffer(self.checkpoints.spare())
            self.checkpoints.offer(replica.progress.step, state, urgent=must_save)
        leave = self.attendant.leave
        if leave is not None and departures.num_leaving:
            self.reporter.leaving(leave.reason)

    def _is_due(self, replica: Replica) -> bool:
        """Whether a step was done in this round, and it was one with a checkpoint."""
        before, self._last_step = self._last_step, replica.progress.step
        return before != self._last_step and self._last_step % self.every_steps == 0
