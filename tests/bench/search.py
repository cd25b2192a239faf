"""A search as a person starts it: twelve trials through three disasters, ASHA, and overhead.

    make bench-search
    .venv/bin/python -m tests.bench.search --what twelve

``twelve``: ``jobs/search_demo.yaml`` on two cores. A worker is killed, a trial is made to crash
(what lies where its run is to begin is no run), and the driver is killed in the middle. Then
the winner's job is trained alone. ``small``: the same on the data of the tests. ``asha``: a
grid, and the same with ASHA. ``overhead``: a search of three, and the same three by
``orchestrator train`` one after the other. ``bred``: a population of three, one training at a
time, and the same two at a time with a worker and the driver killed.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from orchestrator.config.job import Job
from orchestrator.config.load import load_job
from orchestrator.data.lint.words import escaped
from orchestrator.search.naming import told as told_of
from orchestrator.search.naming import trial_name
from orchestrator.search.space import grid, job_with
from tests.bench.faults import ROOT
from tests.made_job import made_job

PATIENCE_S = 1800.0
KINDS = ("twelve", "small", "asha", "overhead", "bred")
USUAL = ("twelve", "asha", "overhead", "bred")
COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]


def write(job: Job, folder: Path) -> Path:
    path = folder / f"{job.name}.yaml"
    path.write_text(yaml.safe_dump(job.model_dump(mode="json")))
    return path


@contextmanager
def started(command: str, path: Path, out: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of ours under way, all that it says in two files."""
    with out.open("wb") as stdout, out.with_suffix(".err").open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, command, str(path), "--json"], stdout=stdout, stderr=stderr, cwd=ROOT
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def finished(process: "subprocess.Popen[bytes]", out: Path) -> dict[str, Any]:
    """What it said last, when it has ended well."""
    assert process.wait(PATIENCE_S) == 0, out.with_suffix(".err").read_text()[-3000:]
    told: dict[str, Any] = json.loads(out.read_text().splitlines()[-1])
    return told


def run(command: str, path: Path, folder: Path) -> tuple[dict[str, Any], float]:
    """Run a command to its end; what it said, and how long it took."""
    out, begun_s = folder / f"{command}-{path.stem}.out", time.monotonic()
    with started(command, path, out) as process:
        told = finished(process, out)
    return told, time.monotonic() - begun_s


def until(is_so: Callable[[], Any], what: str) -> Any:
    end_s = time.monotonic() + PATIENCE_S
    while not (found := is_so()):
        assert time.monotonic() < end_s, f"waited in vain for {what}"
        time.sleep(0.1)
    return found


def twelve(folder: Path) -> dict[str, Any]:
    """The whole figure."""
    job = load_job(ROOT / "jobs/search_demo.yaml").resolved(ROOT)
    make_demo_data(Path(job.data.training[0].path).parent)
    job = job.resolved(ROOT).model_copy(
        update={
            "storage": job.storage.model_copy(update={"path": str(folder / "runs")}),
            "tracking": job.tracking.model_copy(update={"uri": f"sqlite:///{folder}/m.db"}),
        }
    )
    return disturbed(job, folder)


def small(folder: Path) -> dict[str, Any]:
    """The same disasters on the small data of the tests, where there is no demo's."""
    space = {"images.max_images": [1, 2, 3], "train.global_batch": [4, 8, 16, 32]}
    recipe = {"epochs": 3, "checkpoint_every_steps": 2}
    base = made_job(folder, "small", 64, train=recipe, images={"select": "even"})
    search = {"space": space, "objectives": ["loss", "device_hours"]}
    plain = base.model_dump(mode="json") | {"search": search}
    return disturbed(Job.model_validate_json(json.dumps(plain)), folder)


def disturbed(job: Job, folder: Path) -> dict[str, Any]:
    """A search of twelve trials through three disasters, and its winner alone."""
    assert job.search is not None
    names = [trial_name(job.name, values) for values in grid(job.search.space)]
    root, crashing = Path(job.storage.path), names[2]
    (root / crashing).mkdir(parents=True)
    (root / crashing / "run.json").write_text("no manifest")
    path, out = write(job, folder), folder / "search.out"
    begun_s = time.monotonic()
    with started("search", path, out) as process:
        until(lambda: has_steps(root / names[1], 2), "the second trial's steps")
        killed = kill_worker(process)
        print(f"worker {killed} killed after {time.monotonic() - begun_s:.0f} s", flush=True)
        until(lambda: has_steps(root / names[5], 2), "the sixth trial's steps")
        [lease] = (root / f"searches/{job.name}/lease").glob("*.json")
        os.kill(json.loads(lease.read_text())["owner"]["pid"], signal.SIGKILL)
        print(f"driver killed after {time.monotonic() - begun_s:.0f} s", flush=True)
        told = finished(process, out)
    search_s = time.monotonic() - begun_s
    kept = ROOT / ".bench/search.html"
    kept.parent.mkdir(exist_ok=True)
    shutil.copy(Path(told["page"]), kept)
    alone, _ = run("train", Path(told["best_job"]), folder)
    page = Path(told["page"]).read_text()
    statuses = [trial["status"] for trial in told["trials"]]
    return {
        "minutes": round(search_s / 60, 1),
        "trials": {status: statuses.count(status) for status in sorted(set(statuses))},
        "names": len({trial["name"] for trial in told["trials"]} & set(names)),
        "lost workers": sum(
            (t["figures"] or {}).get("lost_workers", 0) for t in told["trials"]
        ),
        "restarts of trials": sum(
            (t["figures"] or {}).get("restarts", 0) for t in told["trials"]
        ),
        "on the page": sum(escaped(told_of(t["values"])) in page for t in told["trials"]),
        "crash": [t["reason"] for t in told["trials"] if t["status"] == "failed"],
        "best": told["best"]["values"],
        "winner alone is the same": alone["weights_sha256"] == told["best"]["weights_sha256"],
    }


def make_demo_data(folder: Path) -> None:
    """As ``make demo`` does, where it has not."""
    # Here: torch, which no other measurement needs in this process.
    from orchestrator.demo.base import train_base  # noqa: PLC0415
    from orchestrator.demo.groups import make_groups  # noqa: PLC0415
    from orchestrator.demo.tiny_model import write_tiny_model  # noqa: PLC0415

    make_groups(folder, progress=lambda *_: None)
    if not (folder / "model/base.json").exists():
        write_tiny_model(folder / "model")
        train_base(folder / "model")
        (folder / "model/base.json").write_text("{}")


def has_steps(run_folder: Path, steps: int) -> bool:
    log = run_folder / "events.jsonl"
    return log.exists() and log.read_text().count('"kind": "step"') >= steps


def kill_worker(process: "subprocess.Popen[bytes]") -> int:
    """Kill the process that computes; everything descends from the command."""

    def found() -> list[psutil.Process]:
        family = psutil.Process(process.pid).children(recursive=True)
        return [each for each in family if title(each).startswith("ray::RayTrainWorker")]

    worker = until(found, "a worker")[0]
    worker.kill()
    return int(worker.pid)


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def asha(folder: Path) -> dict[str, Any]:
    """What ASHA saves of a grid, and what it misses."""
    space = {
        "train.learning_rate": [3e-3, 1e-2, 1e-3, 3e-4, 1e-4, 1e-5],
        "lora.rank": [4, 16],
    }
    recipe = {"epochs": 9, "global_batch": 8, "eval_every_steps": 5, "schedule": "constant"}
    base = made_job(folder, "grid", train=recipe, scale={"gpu": False})
    found = {}
    for name, more in (("grid", {}), ("asha", {"scheduler": "asha"})):
        search = {"space": space, "asha": {"first": 0.12, "keep_one_in": 4}, **more}
        plain = base.model_dump(mode="json") | {"name": name, "search": search}
        path = write(Job.model_validate_json(json.dumps(plain)), folder)
        found[name], _ = run("search", path, folder)
    best = {name: told["best"]["figures"]["loss"] for name, told in found.items()}
    steps = {name: told["spent"]["steps"] for name, told in found.items()}
    return {
        "steps": steps,
        "saved": f"{1 - steps['asha'] / steps['grid']:.0%}",
        "best loss": best,
        "worse by": f"{best['asha'] / best['grid'] - 1:.2%}",
    }


def overhead(folder: Path) -> dict[str, Any]:
    """A search, and its trainings by hand."""
    space = {"train.learning_rate": [1e-3, 2e-3, 3e-3]}
    recipe = {"epochs": 24, "global_batch": 8}
    base = made_job(folder, "hand", train=recipe, scale={"gpu": False})
    plain = base.model_dump(mode="json") | {"name": "searched", "search": {"space": space}}
    job = Job.model_validate_json(json.dumps(plain))
    assert job.search is not None
    # Once for nothing: whoever comes first would create the database and the index.
    run("train", write(base.model_copy(update={"name": "first"}), folder), folder)
    by_hand = []
    for number, values in enumerate(grid(job.search.space)):
        one = job_with(base, values, name=f"hand{number}")
        by_hand.append(run("train", write(one, folder), folder))
    told, searched_s = run("search", write(job, folder), folder)
    hashes = [trial["weights_sha256"] for trial in told["trials"]]
    hand_s = sum(seconds for _, seconds in by_hand)
    return {
        "by hand, s": round(hand_s, 1),
        "searched, s": round(searched_s, 1),
        "overhead": f"{searched_s / hand_s - 1:+.0%}",
        "same weights": hashes == [told["weights_sha256"] for told, _ in by_hand],
    }


def bred(folder: Path) -> dict[str, Any]:
    """A population, undisturbed and disturbed."""
    recipe = {"epochs": 4, "global_batch": 8, "eval_every_steps": 10}
    base = made_job(folder, "bred", train=recipe, scale={"gpu": False})
    found, seconds = {}, {}
    for name, at_once in (("calm", 1), ("stormy", 2)):
        search = {
            "space": {"train.learning_rate": {"log": [1e-5, 1e-1]}},
            "searcher": "random",
            "scheduler": "pbt",
            "pbt": {"members": 3},
            "concurrent": at_once,
        }
        plain = base.model_dump(mode="json") | {"name": name, "search": search}
        path = write(Job.model_validate_json(json.dumps(plain)), folder)
        out, begun_s = folder / f"{name}.out", time.monotonic()
        with started("search", path, out) as process:
            if name == "stormy":
                disturb(process, Path(base.storage.path), name)
            told = finished(process, out)
        found[name], seconds[name] = told["trials"], round(time.monotonic() - begun_s)
    hashes = {
        name: sorted(t["weights_sha256"] for t in trials if t["status"] == "finished")
        for name, trials in found.items()
    }
    losses = [t["figures"]["loss"] for t in found["calm"] if t["status"] == "finished"]
    return {
        "seconds": seconds,
        "trials": {name: [t["status"] for t in trials] for name, trials in found.items()},
        "copies": sum(bool(t["life"]["parent"]) for t in found["calm"]),
        "held-out loss": sorted(round(loss, 4) for loss in losses),
        "restarts": sum((t["figures"] or {}).get("restarts", 0) for t in found["stormy"]),
        "the same weights": hashes["calm"] == hashes["stormy"],
    }


def disturb(process: "subprocess.Popen[bytes]", runs: Path, name: str) -> None:
    """Kill a worker, and the driver when a copy trains."""
    until(lambda: any(has_steps(run, 2) for run in runs.glob(f"{name}-member*")), "a step")
    kill_worker(process)
    until(
        lambda: any(has_steps(run, 2) for run in runs.glob(f"{name}-member*from*")),
        "a copy's steps",
    )
    [lease] = (runs / f"searches/{name}/lease").glob("*.json")
    os.kill(json.loads(lease.read_text())["owner"]["pid"], signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", choices=KINDS, nargs="*", default=USUAL)
    for what in parser.parse_args().what:
        with tempfile.TemporaryDirectory() as folder:
            found = globals()[what](Path(folder))
        print(what)
        for name, value in found.items():
            print(f"  {name}: {value}")


if __name__ == "__main__":
    main()
