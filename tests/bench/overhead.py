"""What being elastic and exact costs while nothing happens, against a plain loop.

    make bench-overhead
    .venv/bin/python -m tests.bench.overhead --only device --step-s 0.5

Two processes of one thread each, the same learner over the same micro-batches. Ours streams
them through the hand-out; the plain loop holds them in memory, rendered beforehand. Both save
once in the steps that are counted: more than once a minute. Ours and plain in turns on one
machine, the plain one beside a Ray cluster that idles.

``compute``: the processors compute, and share what there are of them with Ray. ``device``: a
micro-batch is slept, as where an accelerator computes it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from orchestrator.cluster.local import start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import train
from tests.bench.breaking import SLOT
from tests.bench.faults import OUT, ROOT, end
from tests.bench.ranks import free_port
from tests.bench.small_job import Shape, make_job, write_rendered

WORLD_SIZE = 2
SAMPLES_A_MICRO = 8
WARM_STEPS = 6
"""Left out: the first step is done twice, and the window of rendered micro-batches fills."""
PATIENCE_S = 300.0
"""For one round of one way, its start included."""
KINDS = ("device", "compute")
DEVICE_MICROS = 8


@dataclass
class Counting:
    """Watches a training of ours: when steps were done, and who used the processors."""

    last_step: int
    times_s: list[float] = field(default_factory=list)
    used: list[Counter[str]] = field(default_factory=list)

    def watch(self, events: list[Any]) -> None:
        for event in events:
            if event["kind"] == "step":
                assert event["world_size"] == WORLD_SIZE, event
                self.times_s.append(event["wall_s"])
                if event["step"] in (WARM_STEPS, self.last_step):
                    self.used.append(cpu_by_title())

    def cpu_ms(self) -> dict[str, float]:
        """Of a counted step, by process title."""
        before, after = self.used
        steps = self.last_step - WARM_STEPS
        return {
            title: round(1000 * (after[title] - before[title]) / steps, 1)
            for title in after
            if after[title] - before[title] > 0.001 * steps
        }


def cpu_by_title() -> Counter[str]:
    """CPU seconds so far of every process that came from this one."""
    used: Counter[str] = Counter()
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times, words = process.cpu_times(), process.cmdline()
        except psutil.Error:
            continue
        used[title_of(words)] += times.user + times.system
    return used


def title_of(words: Sequence[str]) -> str:
    """What a process is called, without what it is at just now."""
    first = words[0] if words else "?"
    if first.startswith("ray::"):
        return first.removeprefix("ray::").split(".")[0].split("(")[0]
    return Path(first).name


def per_step_s(times_s: Sequence[float]) -> float:
    """Mean time of a counted step: throughput, checkpoint and all."""
    assert len(times_s) > WARM_STEPS + 4, f"{len(times_s)} steps are too few"
    return (times_s[-1] - times_s[WARM_STEPS - 1]) / (len(times_s) - WARM_STEPS)


def train_ours(prepared: Prepared, number: int) -> Counting:
    """One training of ours, by a name of its own."""
    job = prepared.job.model_copy(update={"name": f"round{number}"})
    counting = Counting(prepared.num_steps("train"))
    train(replace(prepared, job=job), counting.watch)
    return counting


def train_plain(prepared: Prepared, folder: Path) -> list[float]:
    """One training by the plain loop; when each step was done."""
    port, out = free_port(), folder / "plain.json"
    processes = []
    for rank in range(WORLD_SIZE):
        told = {
            "rank": rank,
            "world_size": WORLD_SIZE,
            "port": port,
            "job_json": prepared.job.model_dump_json(),
            "rendered": str(folder / "rendered.pkl"),
            "checkpoint": str(folder / "plain.pt"),
            "checkpoint_every_steps": prepared.job.train.checkpoint_every_steps,
            "out": str(out if rank == 0 else folder / "other.json"),
        }
        program = "import sys; from tests.bench.plain_process import main; main(sys.argv[1])"
        command = [sys.executable, "-c", program, json.dumps(told)]
        processes.append(subprocess.Popen(command, cwd=ROOT))
    try:
        for process in processes:
            assert process.wait(PATIENCE_S) == 0, "a plain process failed: see above"
    finally:
        for process in processes:
            end(process)
    times_s: list[float] = json.loads(out.read_text())
    return times_s


def measure(told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Both ways in turns, in one session."""
    steps = told["steps"]
    shape = Shape(
        steps=steps,
        global_batch=SAMPLES_A_MICRO * told["micros"],
        workers=(WORLD_SIZE, WORLD_SIZE),
        samples_a_micro=SAMPLES_A_MICRO,
        checkpoint_every_steps=steps - 4,
    )
    ours, plain = [], []
    with (
        start_cluster(WORLD_SIZE, resources=SLOT) as local,
        open_session(local.address, cpus=1),
    ):
        prepared = prepare(make_job(folder, shape))
        write_rendered(prepared, folder / "rendered.pkl")
        for number in range(told["rounds"]):
            ours.append(train_ours(prepared, number))
            plain.append(train_plain(prepared, folder))
    ours_s = [per_step_s(each.times_s) for each in ours]
    plain_s = [per_step_s(each) for each in plain]
    return {
        **told,
        "ours_s": ours_s,
        "plain_s": plain_s,
        "cpu_ms": ours[-1].cpu_ms(),
        "ratio": statistics.median(plain_s) / statistics.median(ours_s),
    }


def main_of_one(told: str, out: str) -> None:
    """Measure one kind and step time, and write what was found to a file."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(json.loads(told), Path(folder))
    Path(out).write_text(json.dumps(found))
    os._exit(0)


def micro_s_of_processor(folder: Path) -> float:
    """What a micro-batch takes this machine with one thread, by trying."""
    import torch  # noqa: PLC0415 - nobody else here needs it

    from orchestrator.train.learner import VisionLanguageLearner  # noqa: PLC0415
    from tests.bench.small_job import read_rendered  # noqa: PLC0415

    shape = Shape(steps=1, global_batch=96, workers=(1, 1), samples_a_micro=SAMPLES_A_MICRO)
    with open_session(None, cpus=1):
        prepared = prepare(make_job(folder, shape))
        write_rendered(prepared, folder / "rendered.pkl")
    learner = VisionLanguageLearner.load(prepared.job, torch.device("cpu"))
    [batches] = read_rendered(folder / "rendered.pkl")
    times_s = []
    for batch in batches:
        started_s = time.process_time()
        learner.backward(batch)
        times_s.append(time.process_time() - started_s)
    return statistics.median(times_s)


def one(kind: str, step_s: float, micros: int, rounds: int) -> dict[str, Any]:
    """Measure one kind and step time in a process of its own."""
    told = {
        "kind": kind,
        "step_s": step_s,
        "micros": micros,
        "rounds": rounds,
        "steps": WARM_STEPS + max(16, round(20 / step_s)),
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_memory_monitor_refresh_ms": "0"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests/bench/emulated"), str(ROOT)])
    if kind == "device":
        environment["BENCH_NO_WORK"] = "1"
        environment["BENCH_MICRO_S"] = str(step_s * WORLD_SIZE / micros)
    program = "import sys; from tests.bench.overhead import main_of_one as m; m(*sys.argv[1:])"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, "-c", program, json.dumps(told), str(out)]
        with (OUT / f"overhead-{kind}-{step_s}.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                process.wait(2 * rounds * PATIENCE_S)
            finally:
                end(process)
        if not out.exists():
            return {**told, "problem": f"no result: see {log.name}"}
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def print_one(found: dict[str, Any]) -> None:
    """One kind and step time."""
    title = f"{found['kind']:8} {found['step_s']:.1f} s, {found['micros']} micro-batches: "
    if "problem" in found:
        print(title + found["problem"])
        return
    ours_ms, plain_ms = (
        [round(1000 * each) for each in found[f"{way}_s"]] for way in ("ours", "plain")
    )
    print(
        f"{title}ours {ours_ms} ms a step, plain {plain_ms}; throughput "
        f"{100 * (found['ratio'] - 1):+.1f} %"
    )
    cpu = sorted(found["cpu_ms"].items(), key=lambda item: -item[1])
    print("  CPU ms a step: " + ", ".join(f"{title} {each:.0f}" for title, each in cpu))


def main() -> None:
    """Measure, print, and write ``.bench/overhead.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--step-s", type=float, nargs="*", default=[0.5, 2.0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    kinds = [given.only] if given.only else KINDS
    micro_s = 0.0
    if "compute" in kinds:
        with tempfile.TemporaryDirectory() as folder:
            micro_s = micro_s_of_processor(Path(folder))
    found = []
    for kind in kinds:
        for step_s in given.step_s:
            micros = DEVICE_MICROS
            if kind == "compute":
                micros = max(WORLD_SIZE, round(WORLD_SIZE * step_s / micro_s))
            found.append(one(kind, step_s, micros, given.rounds))
            print_one(found[-1])
    (OUT / "overhead.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
