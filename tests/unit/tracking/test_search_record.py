"""A search's record in a real store in a SQLite file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.tracking import TrackingConfig
from orchestrator.storage import Store
from orchestrator.tracking import mlflow_run
from orchestrator.tracking.events import encode, make_event
from orchestrator.tracking.mlflow_run import Status
from orchestrator.tracking.recorder import Patience
from orchestrator.tracking.search_record import COMPLETE, Ending, SearchRecord, Tracked

# As the program loads it: without handlers for logs of its own.
MlflowClient = mlflow_run._library().MlflowClient

pytestmark = [
    # MLflow 3.17 maps its tables in a way that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

Ends = dict[str, Status | None]
Record = Callable[[Ends], SearchRecord]
PATIENCE = Patience(gather_s=0.1, retry_s=0.1, finish_s=60)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """One store for all tests here: making one takes seconds."""
    return TrackingConfig(uri=f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db")


@pytest.fixture
def record_of(tmp_path: Path, config: TrackingConfig) -> Record:
    """A driver's record of trials that have come so far; each call is a later driver's."""
    name = f"search-{tmp_path.name}"

    def make(ends: Ends) -> SearchRecord:
        def trials() -> list[Tracked]:
            return [
                Tracked(
                    name=trial,
                    run=run_of(tmp_path, trial),
                    settings=lambda: {"lora": {"rank": 4}},
                    values={"lora.rank": 4},
                    status=end,
                    reason="NaN" if end == "FAILED" else "",
                )
                for trial, end in ends.items()
            ]

        store = Store.open(str(tmp_path / "search"))
        return SearchRecord(config, name, store, {"name": "one"}, trials, PATIENCE)

    return make


def run_of(folder: Path, trial: str) -> Store:
    return Store.open(str(folder / trial))


def step(run: Store, number: int) -> None:
    usual = {"epoch": 0, "samples": 4, "round_s": 1.0, "world_size": 1, "peak_memory_mb": 700.0}
    run.append("events.jsonl", encode(make_event("step", step=number, loss=1.0, **usual)))  # type: ignore[arg-type]  # of events


def test_each_trial_is_a_run_inside_the_searchs_with_its_own_end(
    record_of: Record, config: TrackingConfig, tmp_path: Path
) -> None:
    ends: Ends = {"good": "FINISHED", "early": "KILLED", "bad": "FAILED"}
    for trial in ends:
        step(run_of(tmp_path, trial), 1)
    run_of(tmp_path, "good").write("adapter/adapter_model.safetensors", b"weights")
    record = record_of(ends)
    with record.kept():
        record.conclude(
            Ending("good", {"search.html": b"page"}, {"best.loss": 0.5}, b"name: best")
        )
    assert record.problem is None
    assert record.is_complete
    client = MlflowClient(tracking_uri=config.uri)
    parent = client.get_run(record.store.read("mlflow_run_id").decode())
    assert (parent.info.status, parent.data.metrics) == ("FINISHED", {"best.loss": 0.5})
    assert parent.data.tags["search.best"] == "good"
    ids = {trial: run_of(tmp_path, trial).read("mlflow_run_id").decode() for trial in ends}
    runs = {trial: client.get_run(each) for trial, each in ids.items()}
    assert {trial: run.info.status for trial, run in runs.items()} == ends
    assert {r.data.tags["mlflow.parentRunId"] for r in runs.values()} == {parent.info.run_id}
    assert runs["bad"].data.tags["trial.reason"] == "NaN"
    assert runs["good"].data.params["lora.rank"] == "4"
    assert runs["good"].data.metrics["run.peak_memory_mb"] == 700.0
    [version] = client.search_model_versions(f"name = '{record.name}'")
    assert version.run_id == ids["good"]
    kept = {file.path for file in client.list_artifacts(ids["good"], "adapter")}
    assert kept == {"adapter/job.yaml", "adapter/adapter_model.safetensors"}


def test_a_later_driver_continues_the_same_runs_and_an_end_can_be_taken_back(
    record_of: Record, config: TrackingConfig, tmp_path: Path
) -> None:
    run = run_of(tmp_path, "one")
    step(run, 1)
    first = record_of({"one": "KILLED"})
    with first.kept():
        first.conclude(Ending(None, {}, {}))
    known = run.read("mlflow_run_id")
    assert run.read(COMPLETE) == b"KILLED"
    step(run, 2)
    later = record_of({"one": "FINISHED"})
    with later.kept():
        later.conclude(Ending(None, {}, {}))
    assert run.read("mlflow_run_id") == known
    assert first.store.read("mlflow_run_id") == later.store.read("mlflow_run_id")
    client = MlflowClient(tracking_uri=config.uri)
    assert client.get_run(known.decode()).info.status == "FINISHED"
    assert [p.step for p in client.get_metric_history(known.decode(), "loss")] == [1, 2]


def test_a_driver_that_ends_without_an_ending_is_not_held_up(record_of: Record) -> None:
    record = record_of({})
    with pytest.raises(KeyboardInterrupt), record.kept():
        raise KeyboardInterrupt
    assert not record.is_complete
