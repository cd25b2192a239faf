"""One training, many faults: the same weights, and how long anybody stood still.

    make chaos            at least 30 faults, every kind at least twice
    .venv/bin/python -m tests.faults.chaos --seed 7 --rounds 1 --epochs 200

The undisturbed run comes first, then the same job under ``orchestrator train``, on a cluster of
three nodes, with faults in random order. Prints a table, and writes ``.bench/chaos.json`` and
``.bench/chaos.png``.
"""

import argparse
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.cluster.local import LocalCluster, processes_below, start_cluster
from orchestrator.config.job import Job
from orchestrator.simulate.replay import compare
from orchestrator.storage import Store
from orchestrator.tracking.events import decode_log
from orchestrator.tracking.run_log import read_log
from orchestrator.tracking.summary import summarise
from tests.faults.chaos_picture import draw
from tests.faults.disasters import SLOT
from tests.faults.kinds import KINDS, Kind, Stage

QUIET_STEPS = 8
"""Steps that are finished in peace before the next fault."""
PATIENCE_S = 150.0
"""The longest that a fleet may take until it is fit for the next fault."""
TRAIN = "import sys; from orchestrator.cli import main; sys.argv[0] = 'orchestrator'; main()"


@dataclass
class Happened:
    """A fault and what it cost."""

    kind: str
    wall_s: float
    step: int
    standstill_s: float = 0.0
    """The longest time between two steps until the next fault, beyond the median step."""


@dataclass
class Report:
    """What a chaos run found."""

    weights_sha256: str
    undisturbed_sha256: str
    result: dict[str, Any]
    faults: list[Happened]
    missing: list[str]
    """Faults that the training ended before."""
    simulated: dict[str, Any] = field(default_factory=dict)

    @property
    def is_the_same(self) -> bool:
        """Whether the weights are those of the undisturbed run, to the bit."""
        return self.weights_sha256 == self.undisturbed_sha256


class Run:
    """``orchestrator train`` in a process, and its events as they are written."""

    def __init__(self, job: Job, address: str, folder: Path) -> None:
        path = folder / f"{job.name}.yaml"
        path.write_text(yaml.safe_dump(json.loads(job.model_dump_json(exclude_none=True))))
        self.run_dir = Path(job.storage.path) / job.name
        command = [sys.executable, "-c", TRAIN, "train", str(path), "--address", address]
        with (folder / f"{job.name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--json"],
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._read = 0

    def new_events(self) -> list[dict[str, Any]]:
        """What was written since this was asked last."""
        new = read_log(Store.open(str(self.run_dir)))[self._read :]
        self._read += len(new)
        return [dict(event) for event in new]

    def driver(self) -> int | None:
        """The process that trains, below the one that watches over it."""
        children = processes_below(self.process.pid)[1:]
        return children[0] if children else None

    def result(self, timeout_s: float) -> dict[str, Any]:
        """The JSON of the last line; the run has to end well."""
        out, _ = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, f"train ended with {self.process.returncode}"
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    def close(self) -> None:
        """End it with all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def undisturbed(job: Job, address: str, folder: Path, timeout_s: float) -> dict[str, Any]:
    """The same job, left alone, on one worker."""
    alone = job.scale.model_copy(update={"workers": (1, 1)})
    quiet = job.model_copy(update={"name": f"{job.name}-undisturbed", "scale": alone})
    run = Run(quiet, address, folder)
    try:
        return run.result(timeout_s)
    finally:
        run.close()


def disturbed(
    job: Job, kinds: Sequence[Kind], cluster: LocalCluster, folder: Path, timeout_s: float
) -> tuple[dict[str, Any], list[Happened], list[str]]:
    """Train a job while all of these happen, one after the other."""
    run = Run(job, cluster.address, folder)
    stage = Stage(cluster, Path(job.storage.path), run.driver)
    drama = _Drama(run, stage, list(kinds))
    try:
        drama.play(time.monotonic() + timeout_s)
        return run.result(timeout_s), drama.done, [kind.name for kind in drama.ahead]
    finally:
        run.close()


@dataclass
class _Drama:
    run: Run
    stage: Stage
    ahead: list[Kind]
    done: list[Happened] = field(default_factory=list)
    _step: int = 0
    _since_step: int = 0
    _world_size: int = 0

    def play(self, end_s: float) -> None:
        fit_by_s = time.monotonic() + PATIENCE_S
        while self.run.process.poll() is None:
            assert time.monotonic() < end_s, f"no end; still ahead: {len(self.ahead)}"
            self.stage.do_what_is_due()
            for event in self.run.new_events():
                self._take(event)
            if self.ahead and not self.stage.diary and self._is_fit(self.ahead[0]):
                self._strike(self.ahead.pop(0))
                fit_by_s = time.monotonic() + PATIENCE_S
            elif self.ahead and time.monotonic() > fit_by_s:
                kind = self.ahead.pop(0)
                print(f"  not fit for {kind.name}: {self._world_size} workers", flush=True)
                self.ahead.append(kind)
                fit_by_s = time.monotonic() + PATIENCE_S
            time.sleep(0.05)
        for event in self.run.new_events():
            self._take(event)

    def _is_fit(self, kind: Kind) -> bool:
        steps = self._step - self._since_step
        return steps >= QUIET_STEPS and self._world_size >= kind.world_size

    def _strike(self, kind: Kind) -> None:
        print(f"  step {self._step}, {self._world_size} workers: {kind.name}", flush=True)
        self.done.append(Happened(kind.name, time.time(), self._step))
        self._since_step = self._step
        kind.act(self.stage)

    def _take(self, event: dict[str, Any]) -> None:
        match event["kind"]:
            case "joined":
                self.stage.cells[event["cell"]] = event
            case "lost" | "left":
                self.stage.cells.pop(event["cell"], None)
            case "started" | "resumed":
                self.stage.cells.clear()
                self._step = self._since_step = int(event.get("step", 0))
            case "step":
                self._step, self._world_size = int(event["step"]), int(event["world_size"])
            case _:
                pass


def measure(faults: list[Happened], events: Sequence[dict[str, Any]]) -> None:
    """Write into each fault how long nothing was finished after it."""
    times = [float(event["wall_s"]) for event in events if event["kind"] == "step"]
    gaps = [(b, b - a) for a, b in itertools.pairwise(times)]
    median_s = statistics.median(gap for _, gap in gaps)
    ends = [fault.wall_s for fault in faults[1:]] + [times[-1]]
    for fault, end_s in zip(faults, ends, strict=True):
        here = [gap for at_s, gap in gaps if fault.wall_s < at_s <= end_s + median_s]
        fault.standstill_s = max([0.0, *(gap - median_s for gap in here)])


@contextmanager
def a_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own for the store, in memory; a folder where nothing may be mounted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=512m", "chaos", folder]
    is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield folder
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", folder], check=False)


def chaos(job: Job, kinds: Sequence[Kind], folder: Path, timeout_s: float) -> Report:
    """Run it: the same job undisturbed, and with all that these kinds do."""
    with start_cluster(3, cpus=2, resources=SLOT) as cluster:
        alone = undisturbed(job, cluster.address, folder, timeout_s)
        result, faults, missing = disturbed(job, kinds, cluster, folder, timeout_s)
    events = read_log(Store.open(f"{job.storage.path}/{job.name}"))
    measure(faults, events)
    goodput = summarise(events).goodput
    return Report(
        result["weights_sha256"],
        alone["weights_sha256"],
        result,
        faults,
        missing,
        compare(events, goodput).as_json(),
    )


def show(report: Report) -> None:
    """Print what was found."""
    by_kind: dict[str, list[float]] = {}
    for fault in report.faults:
        by_kind.setdefault(fault.kind, []).append(fault.standstill_s)
    print(f"\n{'fault':34} times  standstill s (median, worst)")
    for kind, costs in sorted(by_kind.items()):
        print(f"{kind:34} {len(costs):5}  {statistics.median(costs):6.2f} {max(costs):6.2f}")
    r = report.result
    print(
        f"\n{len(report.faults)} faults in {r['steps']} steps and {r['wall_s']:.0f} s: "
        f"weights {'THE SAME' if report.is_the_same else 'DIFFERENT'}, "
        f"{r['samples_used']} samples, {r['steps_replayed']} steps replayed, "
        f"{r['joins']} joins, {r['losses']} losses, {r['restarts']} restarts, "
        f"goodput {r['goodput']:.1%}, simulated {report.simulated}"
    )
    if report.missing:
        print(f"the training ended before: {', '.join(report.missing)}")


def chosen(names: Sequence[str] | None) -> list[Kind]:
    """Kinds by their names."""
    by_name = {kind.name: kind for kind in KINDS}
    return [by_name[name] for name in names or ()]


def drawn_kinds(seed: int, rounds: int) -> list[Kind]:
    """Every kind so many times, in an order of its own for each seed."""
    kinds = [*KINDS] * rounds
    random.Random(seed).shuffle(kinds)
    return kinds


def main() -> None:
    """The chaos run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=340)
    parser.add_argument("--timeout-s", type=float, default=3600, help="of each training")
    parser.add_argument("--only", nargs="*", help="Kinds, in this order; else all, shuffled.")
    parser.add_argument("--to", type=Path, default=Path(".bench"))
    asked = parser.parse_args()
    # So that ending it ends the cluster and unmounts the store.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from tests.made_job import made_job  # noqa: PLC0415 - makes a model and data

    with tempfile.TemporaryDirectory() as name, a_disk(Path(name) / "store") as store:
        job = made_job(
            Path(name),
            "chaos",
            storage={"path": str(store)},
            train={"epochs": asked.epochs, "checkpoint_every_steps": 20},
            scale={"workers": [1, 4], "resources": SLOT, "gpu": False},
        )
        kinds = chosen(asked.only) or drawn_kinds(asked.seed, asked.rounds)
        if not store.is_mount():
            print("nothing can be mounted here: the store is not filled")
            kinds = [kind for kind in kinds if "store" not in kind.name]
        report = chaos(job, kinds, Path(name), asked.timeout_s)
        events = (store / "chaos" / "events.jsonl").read_text()
    show(report)
    out = asked.to
    out.mkdir(exist_ok=True)
    (out / "chaos.events.jsonl").write_text(events)
    faults = [vars(fault) for fault in report.faults]
    found = {**report.result, "faults": faults, "simulated": report.simulated}
    (out / "chaos.json").write_text(json.dumps({**found, "same": report.is_the_same}, indent=1))
    draw(decode_log(events.splitlines()), report.faults, out / "chaos.png")
    raise SystemExit(0 if report.is_the_same and not report.missing else 1)


if __name__ == "__main__":
    main()
