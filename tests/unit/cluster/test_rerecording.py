"""A lost MLflow database is made anew from the runs themselves."""

from pathlib import Path

import pytest

from orchestrator.cluster.rerecording import Rerecorded, rerecord
from orchestrator.errors import StorageError
from orchestrator.storage import Store
from orchestrator.tracking import mlflow_run
from orchestrator.tracking.events import Event, encode, make_event
from orchestrator.tracking.recorder import RUN_ID
from orchestrator.train.manifest import freeze

# As the program loads it: without handlers for logs of its own.
MlflowClient = mlflow_run._library().MlflowClient

pytestmark = [
    # MLflow 3.17 maps its tables in a way that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]


def a_log(end: str | None) -> list[Event]:
    steps = [
        make_event(
            "step",
            wall_s=10.0 + step,
            step=step,
            epoch=0,
            loss=3.0 - step,
            samples=8,
            round_s=1.0,
            world_size=2,
        )
        for step in range(3)
    ]
    ended = [make_event(end, wall_s=20.0)] if end else []
    return [make_event("started", wall_s=9.0), *steps, *ended]


def make_run(runs: Store, name: str, end: str | None) -> Store:
    store = runs.child(name)
    job = {"name": name, "tracking": {"experiment": "groups"}}
    freeze(store, job, "data", 512, {"device": "cpu"})
    for event in a_log(end):
        store.append("events.jsonl", encode(event))
    return store


def test_runs_that_are_over_are_recorded_once_and_others_are_left_alone(
    tmp_path: Path,
) -> None:
    runs = Store.open(str(tmp_path / "runs"))
    finished = make_run(runs, "finished", "finished")
    finished.write("adapter/adapter_config.json", b"{}")
    # Of a database that is gone.
    finished.write(RUN_ID, b"0123456789abcdef0123456789abcdef")
    make_run(runs, "failed", "failed")
    make_run(runs, "under_way", None)
    runs.child("no_run").write("notes.txt", b"nothing")
    said: list[str] = []
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    found = rerecord(runs, uri, wait_s=0, say=said.append)
    assert found == [
        Rerecorded("failed", "recorded"),
        Rerecorded("finished", "recorded"),
        Rerecorded("under_way", "not over"),
    ]
    assert said == ["failed: recorded", "finished: recorded", "under_way: not over"]
    client = MlflowClient(tracking_uri=uri)
    run_id = finished.read(RUN_ID).decode()
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "finished")
    losses = [metric.value for metric in client.get_metric_history(run_id, "loss")]
    assert losses == [3.0, 2.0, 1.0]
    assert run.data.metrics["run.final_loss"] == 1.0
    [folder] = client.list_artifacts(run_id)
    assert folder.path == "adapter"
    again = rerecord(runs, uri, wait_s=0, say=said.append)
    assert [one.what for one in again] == ["was there", "was there", "not over"]
    assert client.get_run(run_id).info.status == "FINISHED"
    assert finished.read(RUN_ID).decode() == run_id


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    runs = Store.open(str(tmp_path / "runs"))
    make_run(runs, "finished", "finished")
    with pytest.raises(StorageError, match="MLflow"):
        rerecord(runs, "http://127.0.0.1:9", wait_s=0, say=print)
