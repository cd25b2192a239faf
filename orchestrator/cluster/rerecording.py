"""MLflow's record of runs that are over, made anew from their own events.

MLflow's database lies on a cluster's head and goes with it; runs lie in a bucket. A run that is
not over is left to its next attempt, which records it from the beginning. Knows no Ray.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal

from orchestrator.config.tracking import TrackingConfig
from orchestrator.errors import StorageError
from orchestrator.storage import Store
from orchestrator.tracking.events import Event
from orchestrator.tracking.mlflow_run import MlflowRun, Status
from orchestrator.tracking.recorder import RUN_ID
from orchestrator.tracking.run_log import read_log
from orchestrator.tracking.summary import summarise
from orchestrator.train.manifest import MANIFEST, RunManifest, read_manifest
from orchestrator.train.result import ADAPTER, local_adapter

_ENDS: dict[str, Status] = {"finished": "FINISHED", "failed": "FAILED"}
RETRY_S = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rerecorded:
    """What became of one run."""

    name: str
    what: Literal["recorded", "was there", "not over"]


def rerecord(runs: Store, uri: str, *, wait_s: float, say: Say) -> list[Rerecorded]:
    """Give MLflow every run of a store that is over, where it has it not.

    Args:
        runs: What jobs name as ``storage.path``.
        uri: MLflow's.
        wait_s: How long a server that is only just starting may take to answer.
        say: Told what a person should know.

    Raises:
        StorageError: The store or MLflow does not answer.
        ConfigError: MLflow has no store of the kind that ``uri`` names.
    """
    until_s = time.monotonic() + wait_s
    found = []
    for name in _names(runs):
        one = _patiently(partial(_rerecord, runs.child(name), name, uri), until_s)
        say(f"{name}: {one.what}")
        found.append(one)
    return found


def _patiently(action: Callable[[], Rerecorded], until_s: float) -> Rerecorded:
    while True:
        try:
            return action()
        except StorageError:
            if time.monotonic() > until_s:
                raise
        time.sleep(RETRY_S)


def _names(runs: Store) -> Iterator[str]:
    """Folders that are a run's."""
    for path in runs.list():
        name, _, file = path.partition("/")
        if file == MANIFEST:
            yield name


def _rerecord(store: Store, name: str, uri: str) -> Rerecorded:
    events = read_log(store)
    end = _ENDS.get(str(events[-1]["kind"])) if events else None
    manifest = read_manifest(store)
    if end is None or manifest is None:
        return Rerecorded(name, "not over")
    known = store.read(RUN_ID).decode() if store.exists(RUN_ID) else None
    config = TrackingConfig(uri=uri, experiment=_experiment(manifest))
    run = MlflowRun.open(config, run_name=name, run_id=known, params=manifest.job)
    if run.run_id != known:
        store.write(RUN_ID, run.run_id.encode())
    is_there = run.events_logged >= len(events)
    if not is_there:
        _fill(run, store, events)
    run.finish(end)
    return Rerecorded(name, "was there" if is_there else "recorded")


def _fill(run: MlflowRun, store: Store, events: list[Event]) -> None:
    # Last of all the events: what is counted as there is then all there.
    run.log_figures(summarise(events))
    with local_adapter(store) if store.list(ADAPTER) else nullcontext() as adapter:
        if adapter is not None:
            run.log_artifacts(adapter, ADAPTER)
    run.log_events(events)


def _experiment(manifest: RunManifest) -> str:
    tracking = manifest.job.get("tracking")
    named = tracking.get("experiment") if isinstance(tracking, dict) else None
    return str(named or "default")
