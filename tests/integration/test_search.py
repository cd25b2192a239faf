"""A search: every trial is accounted for, and a winner trained alone is the same to the bit."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.searching.driver import Audience, SearchResult, search
from orchestrator.cluster.training import train
from orchestrator.config.job import Job
from orchestrator.config.load import load_job
from orchestrator.config.search import SearchConfig
from orchestrator.search.space import job_with
from orchestrator.search.trials import Trial
from orchestrator.storage import Store
from orchestrator.tracking import mlflow_run
from orchestrator.train.copying import copy_run
from tests.integration.test_commands import ORCHESTRATOR, write_job
from tests.integration.test_supervise import GONE_S, fleet, truncated, until

# As the program loads it: without handlers for logs of its own.
MlflowClient = mlflow_run._library().MlflowClient

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    # MLflow 3.17 maps its tables in a way that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    # Ray Tune's own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

LIMIT_S = 240.0


def searching(job: Job, **section: Any) -> Job:
    config = SearchConfig.model_validate_json(json.dumps(section))
    return job.model_copy(update={"search": config})


def searched(job: Job) -> SearchResult:
    return search(job, Audience(lambda _: None, lambda *_: None, lambda _: None))


def by_status(result: SearchResult) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for trial in result.conclusion.trials:
        found.setdefault(trial.status, []).append(trial)
    return found


def check_record(job: Job, result: SearchResult, best: Trial, failed: Trial) -> None:
    """MLflow has all of it."""
    assert result.record_problem is None
    client = MlflowClient(tracking_uri=job.tracking.uri)
    parent = Store.open(result.conclusion.folder).read("mlflow_run_id").decode()
    assert client.get_run(parent).info.status == "FINISHED"
    runs = client.search_runs(
        [client.get_run(parent).info.experiment_id], f"tags.mlflow.parentRunId = '{parent}'"
    )
    statuses = {run.info.run_name: run.info.status for run in runs}
    assert statuses == {best.name: "FINISHED", failed.name: "FAILED"}
    [won] = [run for run in runs if run.info.run_name == best.name]
    assert len(client.get_metric_history(won.info.run_id, "loss")) == 5
    assert won.data.metrics["run.peak_memory_mb"] == pytest.approx(best.figures.peak_memory_mb)
    [version] = client.search_model_versions("name = 'accounted'")
    assert version.run_id == won.info.run_id
    kept = [file.path for file in client.list_artifacts(won.info.run_id, "adapter")]
    assert "adapter/job.yaml" in kept
    assert "adapter/adapter_model.safetensors" in kept


def test_each_trial_is_accounted_for_and_the_winner_alone_gives_its_weights(
    make_job: Callable[..., Job], session: None, tmp_path: Path
) -> None:
    del session
    job = make_job("accounted", train={"epochs": 1}, tracking={"experiment": "accounted"})
    broken = truncated(job.model.path, tmp_path)
    space = {"train.global_batch": [8, 64], "model.path": [job.model.path, broken]}
    job = searching(job, space=space, objectives=["loss", "device_hours"])
    result = searched(job)
    found = by_status(result)
    assert {status: len(trials) for status, trials in found.items()} == {
        "finished": 1,
        "failed": 1,
        "refused": 2,
    }
    assert all(trial.reason.startswith("too few samples: 40") for trial in found["refused"])
    assert "SafetensorError" in found["failed"][0].reason
    [best] = found["finished"]
    assert best.figures is not None
    assert best.figures.steps == best.figures.planned_steps == 5
    assert best.figures.peak_memory_mb is not None

    folder = Path(result.conclusion.folder)
    page = (folder / "search.html").read_text()
    assert all(words in page for words in ("finished", "failed", "refused", "SafetensorError"))
    alone = train(prepare(load_job(folder / "best.yaml")), lambda _: None)
    assert alone.weights_sha256 == best.weights_sha256
    again = searched(job)
    assert again.was_finished
    assert again.conclusion.best == best

    check_record(job, result, best, found["failed"][0])


@pytest.mark.long
def test_what_falls_behind_is_ended_with_all_that_it_had(
    make_job: Callable[..., Job], session: None
) -> None:
    del session
    recipe = {"epochs": 8, "global_batch": 8, "eval_every_steps": 5, "schedule": "constant"}
    job = make_job("behind", train=recipe, tracking={"experiment": "behind"})
    job = searching(
        job,
        space={"train.learning_rate": [1e-2, 1e-7]},
        scheduler="asha",
        asha={"first": 0.125, "keep_one_in": 2},
    )
    before = set(fleet())
    result = searched(job)
    good, bad = result.conclusion.trials
    assert (good.status, bad.status) == ("finished", "stopped")
    assert good.figures is not None
    assert bad.figures is not None
    assert good.figures.steps == 40
    assert 5 <= bad.figures.steps < 40
    assert bad.reason.startswith("behind the others at")
    until(lambda: set(fleet()) <= before, GONE_S, "a trial's processes outlive it")
    until(
        lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"],
        GONE_S,
        "a trial's cores are not free",
    )
    run = Store.open(job.storage.path).child(bad.name)
    client = MlflowClient(tracking_uri=job.tracking.uri)
    assert client.get_run(run.read("mlflow_run_id").decode()).info.status == "KILLED"


@pytest.mark.long
def test_a_bred_trial_has_the_weights_of_its_parent_trained_on_by_hand(
    make_job: Callable[..., Job], session: None
) -> None:
    del session
    recipe = {"epochs": 2, "global_batch": 8, "eval_every_steps": 5}
    plain = make_job("bred", train=recipe, tracking={"experiment": "bred"})
    job = searching(
        plain,
        space={"train.learning_rate": {"log": [1e-5, 1e-2]}},
        searcher="random",
        scheduler="pbt",
        pbt={"members": 2},
    )
    trials = searched(job).conclusion.trials
    assert [trial.status for trial in trials].count("finished") == 2
    [given_up] = [trial for trial in trials if trial.status == "stopped"]
    [copy] = [trial for trial in trials if trial.life and trial.life.parent]
    assert copy.life is not None
    assert copy.life.parent_step == 5
    assert given_up.life is not None
    assert given_up.life.member == copy.life.member
    [parent] = [trial for trial in trials if trial.name == copy.life.parent]

    runs = Store.open(job.storage.path)
    first, second = (
        job_with(plain, trial.values, name=f"hand-{trial.number}") for trial in (parent, copy)
    )
    train(prepare(first), lambda _: None, until=5)
    settings = second.model_dump(mode="json")
    copy_run(runs.child(first.name), runs.child(second.name), 5, settings)
    by_hand = train(prepare(second), lambda _: None)
    assert by_hand.weights_sha256 == copy.weights_sha256
    assert copy.weights_sha256 != parent.weights_sha256


@pytest.fixture
def command(
    session: None, tmp_path: Path
) -> Iterator[Callable[[Job], "subprocess.Popen[bytes]"]]:
    """Starts ``orchestrator search`` on the session's cluster."""
    del session
    address = ray.get_runtime_context().gcs_address
    started: list[subprocess.Popen[bytes]] = []

    def begin(job: Job) -> "subprocess.Popen[bytes]":
        options = [str(write_job(job, tmp_path)), "--address", address, "--json"]
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            process = subprocess.Popen(
                [*ORCHESTRATOR, "search", *options], stdout=out, stderr=err
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_a_search_whose_driver_is_killed_goes_on_and_does_nothing_twice(
    make_job: Callable[..., Job],
    command: Callable[[Job], "subprocess.Popen[bytes]"],
    tmp_path: Path,
) -> None:
    recipe = {"epochs": 6, "global_batch": 8, "checkpoint_every_steps": 2}
    job = make_job("killed", train=recipe, tracking={"experiment": "killed"})
    job = searching(job, space={"lora.rank": [2, 4]})
    process = command(job)
    root = Path(job.storage.path)
    until(
        lambda: (
            len([*root.glob("killed-rank*/result.json")]) == 1
            and [*root.glob("killed-rank4*/checkpoints/*/manifest.json")]
        ),
        LIMIT_S,
        (tmp_path / "err").read_text(),
    )
    [lease] = (root / "searches/killed/lease").glob("*.json")
    os.kill(json.loads(lease.read_text())["owner"]["pid"], signal.SIGKILL)
    assert process.wait(LIMIT_S) == 0, (tmp_path / "err").read_text()
    told = json.loads((tmp_path / "out").read_text().splitlines()[-1])
    first, second = told["trials"]
    assert [t["status"] for t in (first, second)] == ["finished", "finished"]
    assert [t["figures"]["steps"] for t in (first, second)] == [30, 30]
    assert [t["figures"]["restarts"] for t in (first, second)] == [0, 1]
    leases = [[*(root / t["name"] / "lease").glob("*.json")] for t in (first, second)]
    assert [len(each) for each in leases] == [1, 2]
    assert "starting again" in (tmp_path / "err").read_text()
