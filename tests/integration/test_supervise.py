"""A driver that dies is started again; whatever else ends one ends the command."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray

from orchestrator.cluster.supervise import STOP_S
from orchestrator.cluster.training import TrainResult
from orchestrator.config.job import Job
from orchestrator.storage import Store
from orchestrator.train.lease import Lease, this_process
from tests.integration.test_commands import ORCHESTRATOR, wait_for_checkpoint, write_job

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

GONE_S = 15.0
"""How long what belonged to a driver may outlive it."""
FLEET = ("Journal", "HandOut", "Lighthouse", "TrainController", "RayTrainWorker", "cells")
NOT_NEEDED = ("SynchronizationActor", "PreemptionWatcher")
"""What Ray Train would start beside each cell, a process each."""


@dataclass(frozen=True)
class Training:
    """A command under way, and what it leaves."""

    process: "subprocess.Popen[bytes]"
    run: Path
    out: Path
    err: Path

    def driver(self) -> int:
        """The newest driver's process, once it holds the run."""
        until(self.leases, 120, "no driver took the run")
        return int(json.loads(self.leases()[-1].read_text())["owner"]["pid"])

    def leases(self) -> list[Path]:
        return sorted(self.run.glob("lease/*.json"))

    def said(self) -> list[str]:
        return self.err.read_text().splitlines()


@pytest.fixture
def start(session: None, tmp_path: Path) -> Iterator[Callable[[Job], Training]]:
    """Starts ``orchestrator train`` on the session's cluster."""
    del session
    address = ray.get_runtime_context().gcs_address
    started: list[Training] = []

    def begin(job: Job) -> Training:
        stem = f"{job.name}-{len(started)}"
        out, err = tmp_path / f"{stem}.out", tmp_path / f"{stem}.err"
        options = [str(write_job(job, tmp_path)), "--address", address, "--json"]
        command = [*ORCHESTRATOR, "train", *options]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
        started.append(Training(process, Path(job.storage.path) / job.name, out, err))
        return started[-1]

    yield begin
    for training in started:
        training.process.kill()
        training.process.wait()


def until(is_so: Callable[[], Any], limit_s: float, otherwise: str) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s, otherwise
        time.sleep(0.05)


def runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def fleet() -> dict[int, str]:
    """Processes of trainings on the session's cluster, by what they are."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        title = read(path / "cmdline").decode(errors="replace")
        name = re.match(r"ray::(\w+)", title) or re.search(r"cluster\.(cells) import", title)
        if name and name[1] in FLEET + NOT_NEEDED and is_ours(int(path.name)):
            found[int(path.name)] = name[1]
    return found


def is_ours(pid: int) -> bool:
    """Whether a process descends from this one: other tests may run beside."""
    while pid > 1 and pid != os.getpid():
        pid = int((read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split() or [0, 0])[1])
    return pid == os.getpid()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # A process that has just gone.
        return b""


def time_to_go(old: dict[int, str]) -> dict[str, float]:
    """Seconds until each process of a dead driver's was gone, in that order."""
    started_s, gone_s = time.monotonic(), {}
    while old:
        after_s = time.monotonic() - started_s
        assert after_s < GONE_S, f"{old} outlive their driver"
        gone = {pid: name for pid, name in old.items() if not runs(pid)}
        gone_s |= dict.fromkeys(gone.values(), after_s)
        old = {pid: name for pid, name in old.items() if pid not in gone}
        time.sleep(0.02)
    return gone_s


def test_a_driver_that_is_killed_is_started_again_and_a_rival_is_told_who_trains(
    make_job: Callable[..., Job],
    run_job: Callable[[Job], TrainResult],
    start: Callable[[Job], Training],
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = {"epochs": 12}
    undisturbed = run_job(make_job("undisturbed", train=long)).weights_sha256
    job = make_job("supervised", train=long)
    training = start(job)
    holder = training.driver()
    rival = start(job)
    assert rival.process.wait(100) == 1
    assert [f"held by process {holder}" in line for line in rival.said()][-1]
    assert not [line for line in rival.said() if "starting again" in line]

    wait_for_checkpoint(training.run, training.process)
    old = fleet()
    assert set(old.values()) >= {"Journal", "HandOut", "Lighthouse", "RayTrainWorker", "cells"}
    assert not set(old.values()) & set(NOT_NEEDED)
    os.kill(holder, signal.SIGKILL)
    gone_s = time_to_go(old)
    with capsys.disabled():
        print("\ndriver killed; gone after:", *(f"{n} {s:.2f} s," for n, s in gone_s.items()))

    assert training.process.wait(150) == 0, training.said()
    [line] = [line for line in training.said() if "starting again" in line]
    assert line.startswith("the driver: was killed by SIGKILL; starting again in 1 s")
    result = json.loads(training.out.read_text().splitlines()[-1])
    assert result["weights_sha256"] == undisturbed
    assert (result["restarts"], result["samples_used"]) == (1, 40 * 12)
    assert len(training.leases()) == 2


def test_ctrl_c_ends_driver_and_command_and_the_run_is_free_at_once(
    make_job: Callable[..., Job], start: Callable[[Job], Training]
) -> None:
    training = start(make_job("stopped", train={"epochs": 100}))
    driver = training.driver()
    training.process.send_signal(signal.SIGINT)
    assert training.process.wait(STOP_S + GONE_S) == 130
    assert not runs(driver)
    assert training.said()[-1] == "stopped; the same command goes on from the last checkpoint"
    Lease.claim(Store.open(str(training.run)), this_process(), now_s=time.time(), stale_s=600)


def test_a_command_that_is_killed_takes_its_driver_along(
    make_job: Callable[..., Job], start: Callable[[Job], Training]
) -> None:
    training = start(make_job("orphaned", train={"epochs": 100}))
    driver = training.driver()
    training.process.kill()
    training.process.wait()
    until(lambda: not runs(driver), GONE_S, "the driver goes on without its parent")
    Lease.claim(Store.open(str(training.run)), this_process(), now_s=time.time(), stale_s=600)


def test_a_fault_of_the_job_is_seen_once_and_is_not_tried_again(
    make_job: Callable[..., Job], start: Callable[[Job], Training], tmp_path: Path
) -> None:
    job = make_job("broken")
    broken = job.model.model_copy(update={"path": truncated(job.model.path, tmp_path)})
    training = start(job.model_copy(update={"model": broken}))
    seen: set[int] = set()
    while training.process.poll() is None:
        seen |= {pid for pid, name in fleet().items() if name == "RayTrainWorker"}
        time.sleep(0.05)
    assert training.process.returncode == 1
    assert len(training.leases()) == 1
    [line] = [line for line in training.said() if line.startswith("error:")]
    assert "SafetensorError" in line
    assert "failure.txt" in line
    assert training.out.read_text() == ""
    report = (training.run / "failure.txt").read_text()
    assert report.count("Traceback (most recent call last)") == 1
    assert "orchestrator/cluster/worker.py" in report
    assert "RayTaskError" not in report + "\n".join(training.said())
    assert len(seen) == 1


def truncated(model: str, folder: Path) -> str:
    """A copy of the model whose weights end in the middle."""
    copied = shutil.copytree(model, folder / "truncated")
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    return str(copied)
