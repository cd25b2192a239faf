"""A search's record, on a real MLflow server that goes away in the middle."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.tracking import TrackingConfig
from orchestrator.storage import Store
from orchestrator.tracking import mlflow_run
from orchestrator.tracking.events import encode, make_event
from orchestrator.tracking.mlflow_run import Status
from orchestrator.tracking.recorder import Patience
from orchestrator.tracking.search_record import Ending, SearchRecord, Tracked
from tests.integration.test_mlflow_server import a_server

# As the program loads it: without handlers for logs of its own.
MlflowClient = mlflow_run._library().MlflowClient

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

AWAY_S = 10.0
"""How long the server is away: several tries."""


def steps(run: Store, first: int, last: int) -> None:
    for number in range(first, last + 1):
        event = make_event(
            "step",
            step=number,
            epoch=0,
            loss=5.0 - number,
            samples=4,
            round_s=1.0,
            world_size=1,
            peak_memory_mb=700.0,
        )
        run.append("events.jsonl", encode(event))


def until(is_so: Any, otherwise: str) -> None:
    end_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end_s, otherwise
        time.sleep(0.2)


def check(
    client: MlflowClient, store: Store, runs: dict[str, Store], ends: dict[str, Status | None]
) -> None:
    """Everything is there."""
    ids = {name: run.read("mlflow_run_id").decode() for name, run in runs.items()}
    found = {name: client.get_run(each) for name, each in ids.items()}
    assert {name: run.info.status for name, run in found.items()} == ends
    history = client.get_metric_history(ids["good"], "loss")
    assert [point.step for point in history] == [1, 2, 3, 4, 5, 6]
    assert [p.step for p in client.get_metric_history(ids["bad"], "loss")] == [4, 5, 6]
    parent = client.get_run(store.read("mlflow_run_id").decode())
    assert {r.data.tags["mlflow.parentRunId"] for r in found.values()} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best.loss"] == 0.5
    [version] = client.search_model_versions("name = 'one'")
    assert version.run_id == ids["good"]
    names = {file.path for file in client.list_artifacts(ids["good"], "adapter")}
    assert names == {"adapter/adapter_model.safetensors", "adapter/job.yaml"}


@pytest.mark.timeout(300)
def test_nothing_is_lost_by_a_server_that_is_away_and_every_end_is_told_apart(
    tmp_path: Path,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = Store.open(str(tmp_path / "searches/one"))
    ends: dict[str, Status | None] = dict.fromkeys(("good", "early", "bad"))
    runs = {name: Store.open(str(tmp_path / name)) for name in ends}
    runs["good"].write("adapter/adapter_model.safetensors", b"weights")

    def trials() -> list[Tracked]:
        return [
            Tracked(
                name=name,
                run=runs[name],
                settings=lambda: {"lora": {"rank": 2}},
                values={},
                status=end,
            )
            for name, end in ends.items()
        ]

    config = TrackingConfig(uri=f"http://127.0.0.1:{port}", experiment="one")
    patience = Patience(gather_s=0.2, retry_s=0.5, finish_s=90)
    record = SearchRecord(config, "one", store, {}, trials, patience)
    steps(runs["good"], 1, 3)
    with record.kept():
        with a_server(tmp_path, port) as url:
            until(lambda: runs["bad"].exists("mlflow_run_id"), "no run for the last trial")
        # Away: trials go on, and end, all the while.
        for name in ends:
            steps(runs[name], 4, 6)
        ends.update(good="FINISHED", early="KILLED", bad="FAILED")
        record.conclude(Ending("good", {"search.html": b"page"}, {"best.loss": 0.5}, b"job"))
        until(lambda: record.problem, "nobody noticed that the server is away")
        time.sleep(AWAY_S)
        with a_server(tmp_path, port) as url:
            until(lambda: record.is_complete, f"not complete: {record.problem}")
            check(MlflowClient(tracking_uri=url), store, runs, ends)
    assert record.problem is None
