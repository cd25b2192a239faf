"""What it takes to start many cells at once: time, processors, and memory of what they bring.

    .venv/bin/python -m tests.bench.cells
    .venv/bin/python -m tests.bench.cells --cells 1 2 4 8 --repeat 3

Each trial is a process with a cluster of its own: as many nodes as cells, on one machine, so
that all that is imported is imported on its processors. A micro-batch is slept.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from orchestrator.cluster.local import start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import train
from tests.bench.breaking import CONTROLLER, SLOT, called
from tests.bench.faults import OUT, ROOT, end, environment
from tests.bench.small_job import Shape, make_job

STEPS, GLOBAL_BATCH = 600, 12
"""More than are done before all cells are there; a trial ends then."""
PATIENCE_S = 300.0
WORKER = "ray::RayTrainWorker"
MIB = 2**20


def own_mib(title: str) -> float | None:
    """What one of them holds that it shares with nobody: the median."""
    sizes = [process.memory_full_info().uss / MIB for process in called(title)]
    return statistics.median(sizes) if sizes else None


def cpu_s(title: str) -> float | None:
    """What one of them has computed so far: the median."""
    times = [process.cpu_times() for process in called(title)]
    return statistics.median(each.user + each.system for each in times) if times else None


def see_through(
    training: "Future[Any]", log: list[dict[str, Any]], cells: int
) -> dict[str, Any]:
    """Wait until all cells have done a step together, and say what that took."""
    started_s = time.time()
    while not training.done() and time.time() < started_s + PATIENCE_S:
        steps = [event for event in list(log) if event["kind"] == "step"]
        together = [event for event in steps if event["world_size"] == cells]
        if together:
            return {
                "first_s": steps[0]["wall_s"] - started_s,
                "all_s": together[0]["wall_s"] - started_s,
                "worker_cpu_s": cpu_s(WORKER),
                "worker_mib": own_mib(WORKER),
                "controller_cpu_s": cpu_s(CONTROLLER),
                "controller_mib": own_mib(CONTROLLER),
            }
        time.sleep(0.1)
    return {"problem": f"{cells} cells have not trained together after {PATIENCE_S:.0f} s"}


def trial(cells: int, folder: Path, out: Path) -> None:
    """Start a training of so many cells, and write down what that took."""
    shape = Shape(steps=STEPS, global_batch=GLOBAL_BATCH, workers=(1, cells))
    log: list[dict[str, Any]] = []
    with (
        start_cluster(cells, resources=SLOT) as local,
        open_session(local.address, cpus=1),
    ):
        prepared = prepare(make_job(folder, shape))
        training = ThreadPoolExecutor(1).submit(train, prepared, log.extend)
        # In here: Ray may end this process with the cluster.
        out.write_text(json.dumps(see_through(training, log, cells)))


def main_of_one(cells: str, out: str) -> None:
    """Do one trial, and write what was found to a file."""
    # The training is still at it, in a cluster that has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trial(int(cells), Path(folder), Path(out))
    os._exit(0)


def in_a_process(cells: int) -> dict[str, Any]:
    """One trial in a process of its own."""
    program = (
        "import sys; from tests.bench.cells import main_of_one; main_of_one(*sys.argv[1:])"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        (OUT / f"cells-{cells}.log").open("wb") as log,
    ):
        out = Path(folder) / "found.json"
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(cells), str(out)],
            env=environment(load_s=0.0),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(PATIENCE_S + 120)
        except subprocess.TimeoutExpired:
            return {"problem": f"{cells} cells: no word after {PATIENCE_S + 120:.0f} s"}
        finally:
            end(process)
        if not out.exists():
            return {
                "problem": f"{cells} cells: ended with {process.returncode}, see {log.name}"
            }
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def middle(tries: Sequence[dict[str, Any]], name: str) -> str:
    """The median of a figure, in its column."""
    values = [each[name] for each in tries if each.get(name) is not None]
    return f"{statistics.median(values):.1f}" if values else "-"


def main() -> None:
    """Run the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    columns = {
        "first_s": "first step s",
        "all_s": "all train s",
        "worker_cpu_s": "worker CPU s",
        "worker_mib": "worker MiB",
        "controller_cpu_s": "controller CPU s",
        "controller_mib": "controller MiB",
    }
    print(f"{'cells':>5}" + "".join(f"{name:>18}" for name in columns.values()))
    for cells in given.cells:
        tries = [in_a_process(cells) for _ in range(given.repeat)]
        for problem in [each["problem"] for each in tries if "problem" in each]:
            print(problem)
        print(
            f"{cells:5}" + "".join(f"{middle(tries, name):>18}" for name in columns), flush=True
        )


if __name__ == "__main__":
    main()
