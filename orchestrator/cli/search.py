"""The command about many runs: search."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from orchestrator.cli.common import (
    Address,
    AsJson,
    JobFile,
    Overrides,
    Supervised,
    app,
    load,
    logs_of,
    screen_of,
    session,
    under_supervision,
)
from orchestrator.config.job import Job
from orchestrator.screen import Screen
from orchestrator.search.room import DATA_CPUS
from orchestrator.tables import (
    TRIAL_COLUMNS,
    search_rows,
    search_title,
    trial_line,
    trial_row,
)

if TYPE_CHECKING:
    from orchestrator.cluster.searching.stage import View


@app.command()
def search(
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
    supervise: Supervised = True,
) -> None:
    """Try what the job's search section holds; again, go on with what is already there."""
    job = load(job_file, overrides)
    if not supervise:
        run_search(job, address, as_json, nullcontext())
        return
    from orchestrator.search.ledger import steps_done

    def progress() -> int:
        return steps_done(job.storage.path, job.name)

    under_supervision("search", job, address, as_json, progress)


def run_search(
    job: Job, address: str | None, as_json: bool, leash: AbstractContextManager[None]
) -> None:
    """Search, as the driver."""
    with screen_of(logs_of(job), "search") as screen, leash, _session(job, address, screen):
        from orchestrator.cluster.searching.driver import Audience
        from orchestrator.cluster.searching.driver import search as run

        told: dict[str, str] = {}

        with screen.table(TRIAL_COLUMNS) as table:

            def show(view: "View") -> None:
                for line in _news(view, told):
                    screen.say(line)
                notes = view.notes
                rows = [trial_row(trial, notes.get(trial.name, "")) for trial in view.trials]
                table.show(search_title(view), rows)

            def indexing(done: int, what: str) -> None:
                table.show(f"indexing: {done} {what}", [])

            result = run(job, Audience(show, indexing, screen.say))
        if result.was_finished:
            screen.say(f"{job.name} is finished already; choose a new name to search anew")
        if result.record_problem is not None:
            screen.say(f"warning: MLflow lacks a part of this search: {result.record_problem}")
        screen.show(job.name, search_rows(result.conclusion))
        if as_json:
            screen.print_json(json.dumps(result.as_json()))


def _news(view: "View", told: dict[str, str]) -> Iterator[str]:
    """What has changed since it was told; it stays on the screen when the table is gone."""
    if not told:
        # A driver that goes on says nothing of what ended before it began.
        told |= {trial.name: trial.status for trial in view.trials if trial.has_ended}
    for trial in view.trials:
        line, note = trial_line(trial), view.notes.get(trial.name, "")
        for key, word in ((trial.name, trial.status), (f"{trial.name} waits", note)):
            if word and told.get(key) != word:
                yield line if key == trial.name else f"trial {trial.number} waits: {word}"
            told[key] = word


@contextmanager
def _session(job: Job, address: str | None, screen: Screen) -> Iterator[None]:
    """A connection to Ray; a private cluster has room for as many trials as the job names."""
    at_once = (job.search and job.search.concurrent) or 1
    cpus = at_once * (job.scale.workers[1] * job.scale.cpus_per_worker + DATA_CPUS)
    with session(job, address, screen, cpus=cpus):
        yield
