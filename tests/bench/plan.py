"""How fast a step is planned over an index of a hundred million rows, and in how much memory.

    .venv/bin/python -m tests.bench.plan --rows 100_000_000

Each line is a process of its own, over columns mapped from two files. Warm: the system holds
the files in its cache; cold: it has to fetch every place from the disk. Times are in ms; the
worst is given in CPU time, too, which neighbours on the machine do not spoil.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from orchestrator.plan.mix import Mix, Share
from orchestrator.plan.steps import Plan

COLUMNS = {"tokens": np.int64, "cost": np.float64}
BLOCK = 1 << 20
MICRO_TOKENS = 4096
RANDOM_STEPS = 200
PARTS = ((0.4, 1.0), (0.3, 0.5), (0.2, 1.3), (0.1, 2.0))
"""Share of the rows, and weight, of each data set of the mixture."""
MANY = 50
"""Data sets of the second mixture, each with a weight that no whole number is."""


def write_columns(folder: Path, rows: int) -> None:
    """Lengths and costs as an index has them, a block at a time."""
    generator = np.random.default_rng(0)
    for name, dtype in COLUMNS.items():
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (rows,)}
        # Not mapped: a process started from this one would inherit its peak of memory.
        with (folder / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for first in range(0, rows, BLOCK):
                size = min(BLOCK, rows - first)
                generator.integers(200, 3000, size).astype(dtype).tofile(file)


def set_cache(folder: Path, *, warm: bool) -> None:
    """Have the system hold the columns in its cache, or forget them."""
    for name in COLUMNS:
        with (folder / f"{name}.npy").open("rb") as file:
            if warm:
                while file.read(1 << 24):
                    pass
            else:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def mixture(name: str, rows: int) -> Mix | None:
    """One data set, a few, or many."""
    match name:
        case "few":
            return Mix(tuple(Share(round(part * rows), weight) for part, weight in PARTS))
        case "many":
            sizes = np.diff(np.linspace(0, rows, MANY + 1, dtype=np.int64)).tolist()
            return Mix(tuple(Share(size, 0.3 + n / 30) for n, size in enumerate(sizes)))
        case _:
            return None


def measure(folder: Path, name: str, global_batch: int) -> dict[str, float]:
    """Open, plan the first step, then random ones. In a process that has done nothing else."""
    started_s = time.perf_counter()
    tokens_N, cost_N = (np.load(folder / f"{c}.npy", mmap_mode="r") for c in COLUMNS)
    mix = mixture(name, len(tokens_N))
    plan = Plan(
        tokens_N,
        cost_N,
        epochs=3,
        global_batch=global_batch,
        micro_tokens=MICRO_TOKENS,
        seed=0,
        mix=mix,
    )
    plan.step(0)
    first_s = time.perf_counter() - started_s
    times_s, cpu_s = [], []
    for step in np.random.default_rng(1).integers(0, plan.num_steps, RANDOM_STEPS).tolist():
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        plan.step(step)
        times_s.append(time.perf_counter() - started_s)
        cpu_s.append(time.process_time() - cpu_started_s)
    return {
        "first_ms": first_s * 1e3,
        "median_ms": float(np.median(times_s)) * 1e3,
        "worst_ms": max(times_s) * 1e3,
        "worst_cpu_ms": max(cpu_s) * 1e3,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_alone(folder: Path, name: str, global_batch: int) -> dict[str, float]:
    """``measure`` in a fresh process."""
    asked = ["--folder", str(folder), "--measure", name, "--global-batch", str(global_batch)]
    command = [sys.executable, "-m", "tests.bench.plan", *asked]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(answer)
    return found


def report(folder: Path, rows: int) -> None:
    """Print one line for each mixture, batch and state of the cache."""
    write_columns(folder, rows)
    print(f"{rows:,} rows, {RANDOM_STEPS} random steps, micro_tokens {MICRO_TOKENS}")
    head = ("data sets", "batch", "cache", "first", "median", "worst", "worst CPU", "peak MiB")
    print("".join(f"{word:>11}" for word in head))
    for warm in (True, False):
        for name in ("one", "few", "many"):
            for global_batch in (16, 64, 256, 1024):
                set_cache(folder, warm=warm)
                found = measure_alone(folder, name, global_batch)
                state = "warm" if warm else "cold"
                figures = "".join(f"{figure:>11.2f}" for figure in found.values())
                print(f"{name:>11}{global_batch:>11}{state:>11}{figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--global-batch", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.folder, asked.measure, asked.global_batch)))
        return
    with tempfile.TemporaryDirectory() as folder:
        report(Path(folder), asked.rows)


if __name__ == "__main__":
    main()
