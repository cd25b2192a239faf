"""Does fusion help? The whole study, by ``python -m tests.bench.fusion.study``.

Trains what is missing in ``results.json``, some processes of one thread each, and writes each
training down as it ends: stopped at any time, it goes on from there. Then the table and the
picture in the docs are made anew from what there is.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from tests.bench.fusion.analysis import write_table
from tests.bench.fusion.methods import METHODS, PARTS
from tests.bench.fusion.picture import plot_results
from tests.bench.fusion.results import RESULTS, read_results, write_results
from tests.bench.fusion.tasks import TASKS

DOCS: Final = Path(__file__).parents[3] / "docs"
SEEDS: Final = 5


@dataclass(frozen=True)
class Unit:
    """What one process does: some methods on one task from one base."""

    task: str
    seed: int
    methods: tuple[str, ...]


@dataclass
class Study:
    """What is known so far, and how long it has taken."""

    results: list[dict[str, Any]]
    left: int
    until_s: float
    started_s: float = field(default_factory=time.monotonic)
    done: int = 0
    lock: Lock = field(default_factory=Lock)

    def take(self, result: dict[str, Any]) -> None:
        """Write one training down, and say how far we are."""
        with self.lock:
            self.results.append(result)
            write_results(self.results)
            self.done += 1
            minutes = (time.monotonic() - self.started_s) / 60
            to_go = minutes / self.done * (self.left - self.done)
        print(
            f"{result['task']:11}{result['method']:12}seed {result['seed']}"
            f"{result['accuracy']['8']:8.3f}{result['wall_s']:7.0f} s"
            f"{self.done:6} of {self.left}, {minutes:.0f} min, {to_go:.0f} min to go",
            flush=True,
        )

    @property
    def is_over(self) -> bool:
        """No training may begin any more."""
        return time.monotonic() > self.until_s


def methods_of(task: str) -> list[str]:
    """All methods, but of fusion less one part only where that part is asked about."""
    return [name for name in METHODS if task in PARTS.get(name, (task,))]


def missing(results: list[dict[str, Any]], seeds: int, only: Sequence[str]) -> Iterator[Unit]:
    """What is to be trained yet, seed after seed: the first ones tell most."""
    there = {(one["task"], one["method"], one["seed"]) for one in results}
    for seed in range(seeds):
        for task in TASKS:
            methods = tuple(
                method
                for method in methods_of(task)
                if (task, method, seed) not in there
                and (not only or task in only or method in only or f"{task}/{method}" in only)
            )
            if methods:
                yield Unit(task, seed, methods)


def run_unit(unit: Unit, study: Study) -> None:
    """Have a process do a unit, a line a training; it is ended when time is up."""
    if study.is_over:
        return
    asked = [unit.task, str(unit.seed), *unit.methods]
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.fusion.unit", *asked]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            study.take(json.loads(line))
            if study.is_over:
                process.terminate()
                return
    if process.returncode:
        raise RuntimeError(f"{unit} ended with {process.returncode}")


def train_missing(arguments: argparse.Namespace) -> None:
    """All units, some at a time."""
    results = read_results()
    units = list(missing(results, arguments.seeds, arguments.only))
    left = sum(len(unit.methods) for unit in units)
    print(f"{len(results)} trainings are there, {left} are missing")
    study = Study(results, left, time.monotonic() + 60 * arguments.limit_minutes)
    with ThreadPoolExecutor(arguments.processes) as pool:
        for _ in pool.map(lambda unit: run_unit(unit, study), units):
            pass


def main() -> None:
    """Train, and make the docs' table and picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="+", default=(), help="tasks, methods, or TASK/METHOD")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    parser.add_argument("--limit-minutes", type=float, default=180.0)
    arguments = parser.parse_args()
    train_missing(arguments)
    results = read_results()
    if results:
        print(write_table(results, DOCS / "fusion-study.md"))
        plot_results(results, DOCS / "fusion-study.png")
        print(f"from {RESULTS}")


if __name__ == "__main__":
    main()
