"""``orchestrator search``: from a job with a space to the best job, resuming what is there."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray

from orchestrator.cluster.cell import NAMESPACE
from orchestrator.cluster.devices import uses_gpu
from orchestrator.cluster.internals import start_on_head
from orchestrator.cluster.leasing import kept, leased
from orchestrator.cluster.prepare import Progress
from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.searching.checks import checked
from orchestrator.cluster.searching.desk import Desk
from orchestrator.cluster.searching.stage import Stage, View
from orchestrator.cluster.searching.tuning import run_trials
from orchestrator.config.job import Job
from orchestrator.config.search import SearchConfig
from orchestrator.errors import ConfigError, InputError, JobError
from orchestrator.search.concluding import Conclusion, conclude
from orchestrator.search.ledger import BEST, RESULT, Ledger, search_store
from orchestrator.search.naming import trial_name
from orchestrator.search.room import room_for
from orchestrator.search.space import grid, job_with
from orchestrator.search.suggesting import suggester_of
from orchestrator.search.trials import Status as TrialStatus
from orchestrator.search.trials import Trial
from orchestrator.storage import Store
from orchestrator.tracking.mlflow_run import Status
from orchestrator.tracking.search_record import COMPLETE, Ending, SearchRecord, Tracked

_RECORDED: dict[TrialStatus, Status] = {
    "finished": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
}
"""How MLflow calls the end of a trial."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished search."""

    conclusion: Conclusion
    was_finished: bool
    record_problem: str | None = None
    """Why MLflow lacks something; None where it has everything."""

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        told = self.conclusion.as_json()
        return {
            **told,
            "was_finished": self.was_finished,
            "record_problem": self.record_problem,
        }


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears how it goes."""

    show: Callable[[View], None]
    """Told about twice a second how all trials stand."""
    indexing: Progress
    """Told of what is indexed before they begin."""
    say: Callable[[str], None]


def search(job: Job, audience: Audience) -> SearchResult:
    """Try what the job's space holds, and find the best.

    Args:
        job: The resolved job, with a search in it. A Ray session is open.
        audience: Who hears of it.

    Raises:
        ConfigError: There is no search in it, or the search was begun with other settings.
        LeaseError: Another driver holds the search.
        JobError: No trial came to its end.
        FaultError: This machine lost the cluster.
    """
    config = job.search
    if config is None:
        raise ConfigError(
            "there is no search section", job.name, "Say what to try: see docs/search.md"
        )
    store = search_store(job.storage.path, job.name)
    with leased(store, audience.say) as lease, kept(lease) as is_held:
        ledger = Ledger(store)
        ledger.freeze(job.model_dump(mode="json"))
        was_finished = _is_done(store, config)
        record = SearchRecord(
            job.tracking,
            job.name,
            store,
            job.model_dump(mode="json"),
            lambda: _tracked(job, ledger),
        )
        with nullcontext() if was_finished and record.is_complete else record.kept():
            if not was_finished:
                _try_all(job, ledger, audience, is_held)
            conclusion = conclude(job, ledger)
            if not was_finished:
                # First: they are there whatever becomes of the record.
                conclusion.keep(store)
            record.conclude(_ending(conclusion))
        if conclusion.best is None:
            _complain(conclusion)
        return SearchResult(conclusion, was_finished, record.problem)


def _try_all(job: Job, ledger: Ledger, audience: Audience, is_held: Callable[[], None]) -> None:
    # What an earlier search of less to spend had recorded is to be recorded anew.
    ledger.store.delete(COMPLETE)
    with _stage(job, ledger, audience, is_held) as (stage, desk, word):
        run_trials(stage, desk, word)
        audience.show(stage.view())
        is_held()


def _ending(conclusion: Conclusion) -> Ending:
    best = conclusion.best
    return Ending(
        best=best.name if best else None,
        files=conclusion.files,
        figures=conclusion.figures(),
        job=conclusion.files.get(BEST, b""),
    )


def _is_done(store: Store, config: SearchConfig) -> bool:
    """Whether this very search has ended; a wider one, or one with more to spend, goes on."""
    if not store.exists(RESULT):
        return False
    found = json.loads(store.read(RESULT))
    return bool(found["search"] == config.model_dump(mode="json"))


@contextmanager
def _stage(
    job: Job, ledger: Ledger, audience: Audience, is_held: Callable[[], None]
) -> Iterator[tuple[Stage, Any, str]]:
    assert job.search is not None
    config = job.search
    gpu = uses_gpu(job)

    def room() -> int:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return room_for(nodes, job.scale, gpu=gpu, most=config.concurrent)

    def show(view: View) -> None:
        is_held()
        audience.show(view)

    ready: dict[str, Prepared] = {}

    def check(trial_job: Job) -> Prepared:
        return ready.pop(trial_job.name, None) or checked(trial_job, audience.indexing)

    stage = Stage(job, ledger, suggester_of(config), check, room, show)
    if config.searcher == "grid":
        _look_ahead(stage, ready, audience)
    word = f"desk-{secrets.token_hex(8)}"
    desk = start_on_head(Desk, name=word, namespace=NAMESPACE)
    try:
        yield stage, desk, word
    finally:
        ray.kill(desk)


def _look_ahead(stage: Stage, ready: dict[str, Prepared], audience: Audience) -> None:
    """Index for all of a grid, and refuse what cannot run, before anything is started."""
    for values in grid(stage.config.space):
        name = trial_name(stage.job.name, values)
        known = stage.ledger.trials.get(name)
        if known is not None and known.has_ended:
            continue
        try:
            ready[name] = checked(job_with(stage.job, values, name=name), audience.indexing)
        except InputError as error:
            audience.say(f"refused: {name}: {error.problem}")
            stage.refuse(values, error)


def _tracked(job: Job, ledger: Ledger) -> list[Tracked]:
    """The trials that were begun, for the record."""
    return [
        Tracked(
            name=trial.name,
            run=Store.open(job.storage.path).child(trial.name),
            settings=partial(_settings, job, trial),
            values=_told_values(trial),
            status=_RECORDED.get(trial.status),
            reason=trial.reason,
        )
        for trial in list(ledger.trials.values())
        if trial.status != "refused"
    ]


def _told_values(trial: Trial) -> Mapping[str, object]:
    if trial.life is None or not trial.life.parent:
        return trial.values
    return {
        **trial.values,
        "copy_of": trial.life.parent,
        "copied_at_step": trial.life.parent_step,
    }


def _settings(job: Job, trial: Trial) -> dict[str, Any]:
    return job_with(job, trial.values, name=trial.name).model_dump(mode="json")


def _complain(conclusion: Conclusion) -> None:
    reasons = sorted({f"{t.status}: {t.reason}" for t in conclusion.trials if t.reason})
    shown = "; ".join(reasons[:3]) or "none was begun"
    raise JobError(
        f"not one of {len(conclusion.trials)} trials came to its end ({shown})",
        conclusion.folder,
        "Change the space or the job, and search under a new name",
    )
