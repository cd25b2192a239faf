"""The commands as a person types them, each in a process of its own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cluster.training import TrainResult
from orchestrator.config.job import Job

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ORCHESTRATOR = [sys.executable, "-c", "from orchestrator.cli import main; main()"]


def write_job(job: Job, folder: Path) -> Path:
    path = folder / f"{job.name}.yaml"
    path.write_text(yaml.safe_dump(job.model_dump(mode="json")))
    return path


def last_line(command: list[str]) -> Any:
    done = subprocess.run(
        [*ORCHESTRATOR, *command, "--json"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_killed_driver_resumes_to_the_same_weights(
    make_job: Callable[..., Job], run_job: Callable[[Job], TrainResult], tmp_path: Path
) -> None:
    long = {"epochs": 12}
    undisturbed = run_job(make_job("undisturbed", train=long)).weights_sha256
    job = make_job("interrupted", train=long)
    path = write_job(job, tmp_path)
    driver = subprocess.Popen(
        [*ORCHESTRATOR, "train", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_checkpoint(Path(job.storage.path) / job.name, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    result = last_line(["train", str(path)])
    assert result["restarts"] == 1
    assert result["steps"] == 36
    assert result["samples_used"] == 40 * 12
    assert result["weights_sha256"] == undisturbed
    assert last_line(["train", str(path)])["was_finished"]


def wait_for_checkpoint(run: Path, driver: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if list(run.glob("checkpoints/*/manifest.json")):
            return
        assert driver.poll() is None, "the driver ended before it was killed"
        time.sleep(0.2)
    pytest.fail("no checkpoint within 120 s")


def test_index_plan_and_export_say_what_they_did(
    make_job: Callable[..., Job], run_job: Callable[[Job], TrainResult], tmp_path: Path
) -> None:
    job = make_job("exported", scale={"prices": {"worker": 3600.0, "standing": 360.0}})
    spending = run_job(job).spending
    assert spending is not None
    assert spending.worker_hours > 0
    assert spending.cost == pytest.approx(
        3600 * spending.worker_hours + 360 * spending.hours, rel=0.01
    )
    path = str(write_job(job, tmp_path))
    index = last_line(["index", path])
    assert index["train"]["samples"] == 40
    assert index["eval"]["quarantined"] == 0
    cluster = str(Path(__file__).parents[2] / "cluster.yaml")
    log = f"{job.storage.path}/{job.name}/events.jsonl"
    plan = last_line(["plan", path, "--cluster", cluster, "--events", log])
    [money] = plan["money"]
    assert money["told_by"] == "the run's own steps"
    assert all(0 < bill["spot"] <= bill["on_demand"] for bill in money["bills"])
    assert plan["steps"] == 9
    assert plan["balance"]["1"] == 1.0
    exported = last_line(["export", path, "--to", str(tmp_path / "merged"), "--merged"])
    assert "model.safetensors" in exported["files"]
    assert not list((tmp_path / "merged").glob("*.bin"))
