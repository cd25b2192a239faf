"""``orchestrator train``: from a job to a result, resuming whatever of the run is there."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import ray

from orchestrator.cluster.cell import NAMESPACE, CellPlan, CellShape, CellSpec
from orchestrator.cluster.cells import CellProcess
from orchestrator.cluster.devices import uses_gpu
from orchestrator.cluster.handout import HandOut
from orchestrator.cluster.internals import start_on_head
from orchestrator.cluster.interrupt import raise_if_interrupted
from orchestrator.cluster.journal import Journal
from orchestrator.cluster.leasing import kept, leased
from orchestrator.cluster.ledger import found_empty
from orchestrator.cluster.lighthouse import Lighthouse
from orchestrator.cluster.nodes import NodeLook
from orchestrator.cluster.outcome import Failure, Outcome
from orchestrator.cluster.outcome import Terms as RecordTerms
from orchestrator.cluster.prepared import Prepared
from orchestrator.config.job import Job
from orchestrator.errors import FaultError, JobError, OrchestratorError
from orchestrator.storage import Store
from orchestrator.tracking.events import Event, make_event
from orchestrator.tracking.recorder import Recorder, recording
from orchestrator.tracking.run_log import read_log
from orchestrator.tracking.spending import Spending, spent
from orchestrator.tracking.summary import RunFigures, summarise
from orchestrator.train.lease import Lease
from orchestrator.train.manifest import freeze, read_manifest
from orchestrator.train.rounds import Terms

RESULT = "result.json"
POLL_S = 0.2
QUIET_S = 60.0
"""After so long without an event, the driver says what it may be waiting for."""
START_S = 120.0
"""How long the actors on the head may take to come."""

Watch = Callable[[list[Event]], None]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished run."""

    run_dir: str
    weights_sha256: str
    exact: bool
    figures: RunFigures
    quarantined: int
    """Rows that the index left out, and slots found empty on the way."""
    was_finished: bool
    """True where there was nothing left to do."""
    spending: Spending | None = None
    """What it cost, where the job says what machines do."""
    record_problem: str | None = None
    """Why MLflow lacks something of the run; None where it has everything."""

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        figures = asdict(self.figures)
        figures.pop("evals")
        accuracy = self.figures.evals[-1].accuracy if self.figures.evals else None
        return {
            "run_dir": self.run_dir,
            **figures,
            "accuracy": accuracy,
            "weights_sha256": self.weights_sha256,
            "exact": self.exact,
            "quarantined": self.quarantined,
            "was_finished": self.was_finished,
            "spending": self.spending and asdict(self.spending),
            "record_problem": self.record_problem,
        }


def train(
    prepared: Prepared, watch: Watch, *, recorded: bool = True, until: int | None = None
) -> TrainResult:
    """Train a job to its end, from wherever its run stands.

    Args:
        prepared: The resolved job and its indexes. A Ray session is open.
        watch: Told of events as they happen, those of earlier attempts first, and several
            times a second of none. What it raises ends the training, which can be resumed.
        recorded: Keep the record in MLflow. A search does that itself for all of its trials.
        until: Pause when so many steps are done, and measured if that is due, with a
            checkpoint; None: train to the end.

    Returns:
        The result; a run that is finished already, or has come so far, is not trained again.

    Raises:
        ConfigError: The run was begun with other settings.
        LeaseError: Another trainer holds the run.
        JobError: The job failed for a reason of its own.
        FaultError: This machine lost the cluster.
    """
    store = Store.open(prepared.job.storage.path).child(prepared.job.name)
    _check_manifest(store, prepared)
    if store.exists(RESULT) or (until is not None and _has_paused_at(store, until)):
        return _finished(store, prepared, was_finished=True)
    job = prepared.job
    settings = job.model_dump(mode="json")
    with leased(store, lambda reason: watch([make_event("waiting", reason=reason)])) as lease:
        record = (
            recording(job.tracking, store, job.name, settings) if recorded else nullcontext()
        )
        with record as recorder:
            with _fleet(prepared, lease, until) as (journal, cells):
                outcome = _follow(_Story(journal, cells), lease, recorder, watch)
            if outcome.failure is not None:
                raise _as_error(store, outcome.failure)
            if outcome.status == "paused":
                return _finished(store, prepared, was_finished=False)
            if recorder is not None:
                _close(recorder, store)
        result = replace(
            _finished(store, prepared, was_finished=False),
            record_problem=recorder.problem if recorder is not None else None,
        )
        store.write(RESULT, json.dumps(result.as_json(), indent=1).encode())
    return result


def _has_paused_at(store: Store, step: int) -> bool:
    """Whether the run stands there: the last thing that it did was to pause at this step."""
    ends = [event for event in read_log(store) if event["kind"] in ("resumed", "paused")]
    return bool(ends) and ends[-1]["kind"] == "paused" and ends[-1]["step"] == step


def _close(recorder: Recorder, store: Store) -> None:
    # Here: it loads torch, which a trial's driver does without.
    from orchestrator.train.result import local_adapter  # noqa: PLC0415

    with local_adapter(store) as adapter:
        recorder.finish("FINISHED", adapter)


def _check_manifest(store: Store, prepared: Prepared) -> None:
    """Refuse a changed job before anything is started."""
    begun = read_manifest(store)
    if begun is not None:
        terms = _record_terms(prepared, generation=0)
        freeze(
            store, terms.job, terms.index_fingerprint, terms.micro_tokens, begun.numeric_class
        )


def _record_terms(prepared: Prepared, generation: int) -> RecordTerms:
    return RecordTerms(
        job=prepared.job.model_dump(mode="json"),
        index_fingerprint=prepared.identity,
        micro_tokens=prepared.micro_tokens,
        allow_mixed=prepared.job.scale.allow_mixed_machines,
        generation=generation,
        cells=prepared.job.scale.cells,
    )


@contextmanager
def _fleet(
    prepared: Prepared, lease: Lease, until: int | None
) -> Iterator[tuple[Any, CellProcess]]:
    """The actors and cells of one training; gives the journal's handle and the cells."""
    job = prepared.job
    least, most = job.scale.cells
    secret = secrets.token_hex(32)
    # Nobody else's names: several trainings may share a cluster.
    names = {role: f"{role}-{secrets.token_hex(8)}" for role in ("journal", "handout")}
    beacon_name = f"lighthouse-{secrets.token_hex(8)}"
    cells = CellProcess.start(names["journal"])
    rounds = Terms(
        num_steps=prepared.num_steps("train"),
        eval_pieces=prepared.num_steps("eval"),
        eval_every_steps=job.train.eval_every_steps,
        until=until,
    )
    lasting = {
        "namespace": NAMESPACE,
        "max_restarts": -1,
        "max_task_retries": 3,
        "max_concurrency": 64,
    }
    terms = _record_terms(prepared, lease.generation)
    left_out = found_empty(lease.store)
    shape = _shape(job)
    # Decided once: a worker that sees a GPU that it was not given must not take it.
    told = job.model_copy(update={"scale": job.scale.model_copy(update={"gpu": shape.gpu})})
    specs = tuple(
        CellSpec(
            cell=cell,
            job_json=told.model_dump_json(),
            terms=rounds,
            lease=lease,
            token=secret,
            left_out=left_out,
            **names,
        )
        for cell in range(most)
    )
    plan = CellPlan(specs, shape)
    journal = start_on_head(
        Journal,
        lease.store,
        terms,
        plan,
        NodeLook(),
        lease.check,
        name=names["journal"],
        **lasting,
    )
    beacon = {**lasting, "max_task_retries": -1, "max_concurrency": 2}
    lighthouse = start_on_head(Lighthouse, least, names["journal"], name=beacon_name, **beacon)
    handout = start_on_head(
        HandOut, prepared.courses, left_out, name=names["handout"], **lasting
    )
    try:
        ray.get(lighthouse.address.remote(), timeout=START_S)
        yield journal, cells
    finally:
        cells.stop()
        for actor in (handout, lighthouse, journal):
            ray.kill(actor)


def _shape(job: Job) -> CellShape:
    return CellShape(
        cpus=job.scale.cpus_per_worker,
        gpu=uses_gpu(job),
        others=job.scale.resources,
        workers=job.scale.workers_per_cell,
    )


def _follow(story: "_Story", lease: Lease, recorder: Recorder | None, watch: Watch) -> Outcome:
    """Hand events on until the run has an outcome, and keep the lease alive meanwhile."""
    with kept(lease) as is_held:
        while True:
            events, outcome = story.read_on()
            watch(events)
            if recorder is not None:
                recorder.log(events)
            is_held()
            raise_if_interrupted()
            if outcome is not None and not events:
                return outcome
            watch(story.complaints())
            time.sleep(POLL_S)


class _Story:
    """A run's events as the driver reads them, and its impatience when there are none."""

    def __init__(self, journal: Any, cells: CellProcess) -> None:  # noqa: ANN401
        self._journal, self._cells = journal, cells
        self._seen = 0
        self._quiet_since_s = time.monotonic()

    def read_on(self) -> tuple[list[Event], Outcome | None]:
        """What is new, and the outcome once there is one.

        Raises:
            FaultError: The journal or the cells' process is lost.
        """
        try:
            answer = ray.get(self._journal.read.remote(self._seen))
        except ray.exceptions.RayError as error:
            raise _lost(f"the run's journal is lost: {type(error).__name__}") from error
        events, outcome = answer
        self._seen += len(events)
        if events:
            self._quiet_since_s = time.monotonic()
        if outcome is None and self._cells.process.poll() is not None:
            raise _lost(f"the cells' process ended with {self._cells.process.returncode}")
        return events, outcome

    def complaints(self) -> list[Event]:
        """A word, now and then, while nothing happens: what the run may be waiting for."""
        if time.monotonic() - self._quiet_since_s < QUIET_S:
            return []
        self._quiet_since_s = time.monotonic()
        found = {
            name: amount
            for name, amount in sorted(ray.cluster_resources().items())
            if not name.startswith(("node:", "memory", "object_store"))
        }
        reason = f"nothing for {QUIET_S:.0f} s; the cluster has {found}"
        return [make_event("waiting", reason=reason)]


def _lost(problem: str) -> FaultError:
    again = "Run the same command again: it resumes from the last checkpoint"
    return FaultError(problem, "cluster", again)


def _as_error(store: Store, failure: Failure) -> OrchestratorError:
    store.write("failure.txt", failure.traceback.encode())
    fix = failure.fix if failure.kind != "JobError" else f"See {store.url}/failure.txt"
    return JobError(f"{failure.kind}: {failure.problem}", failure.where, fix)


def _finished(store: Store, prepared: Prepared, *, was_finished: bool) -> TrainResult:
    events = read_log(store)
    figures = summarise(events)
    manifest = read_manifest(store)
    finished = [event for event in events if event["kind"] in ("paused", "finished")]
    return TrainResult(
        run_dir=store.url,
        weights_sha256=str(finished[-1]["weights_sha256"]) if finished else "",
        exact=manifest.exact if manifest else True,
        figures=figures,
        quarantined=prepared.indexes["train"].summary.num_bad + figures.quarantined,
        was_finished=was_finished,
        spending=spent(events, prepared.job.scale),
    )
