"""What Ray Train as it comes does with the same faults: a group that starts again as one.

A ``TorchTrainer`` with its defaults, on a cluster with Ray's own health check, trains a model
of no size: its worker imports what ours imports, loads for as long as it is told, and takes
steps of a fixed time with an all-reduce in each. It writes down when it does what.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.train import Checkpoint, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from orchestrator.cluster.local import LocalCluster
from tests.faults.disasters import SLOT

STEP_S = 0.3
CHECKPOINT_EVERY = 20
WORKERS = 3
PATIENCE_S = 400.0


def train_stock(config: dict[str, Any]) -> None:
    """One worker of the group."""
    notes = Path(config["notes"]) / f"{os.getpid()}.jsonl"

    def note(what: str, step: int = 0) -> None:
        line = {"what": what, "at_s": time.time(), "step": step, "pid": os.getpid()}
        node = ray.get_runtime_context().get_node_id()
        with notes.open("a") as file:
            file.write(json.dumps({**line, "node": node}) + "\n")

    note("started")
    import torch  # noqa: PLC0415 - what a start costs is measured
    import torch.distributed as dist  # noqa: PLC0415
    from transformers import AutoModelForImageTextToText  # noqa: PLC0415

    assert AutoModelForImageTextToText
    time.sleep(config["load_s"])
    note("loaded")
    first = 0
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            first = int((Path(folder) / "step").read_text())
    note("restored", first)
    weights = torch.zeros(100_000)
    for step in range(first, config["steps"]):
        time.sleep(STEP_S)
        dist.all_reduce(weights)
        note("step", step + 1)
        if (step + 1) % CHECKPOINT_EVERY == 0:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "step").write_text(str(step + 1))
                is_first = ray.train.get_context().get_world_rank() == 0
                saved = Checkpoint.from_directory(folder) if is_first else None
                ray.train.report({"step": step + 1}, checkpoint=saved)


@dataclass
class StockRun:
    """A group that trains in a thread of this process, and its notes."""

    folder: Path
    cluster: LocalCluster
    load_s: float

    def start(self) -> None:
        """Begin; ``stop`` ends it."""
        notes = self.folder / "notes"
        notes.mkdir()
        trainer = TorchTrainer(
            train_stock,
            train_loop_config={"notes": str(notes), "steps": 100_000, "load_s": self.load_s},
            scaling_config=ScalingConfig(
                num_workers=WORKERS, resources_per_worker={"CPU": 1, **SLOT}
            ),
            run_config=RunConfig(
                name="stock",
                storage_path=str(self.folder / "stock"),
                failure_config=FailureConfig(max_failures=-1, controller_failure_limit=-1),
            ),
        )
        threading.Thread(target=trainer.fit, daemon=True).start()

    def notes(self) -> list[dict[str, Any]]:
        """All that was written down, in order of time."""
        lines = [
            json.loads(line)
            for path in (self.folder / "notes").glob("*.jsonl")
            for line in path.read_text().splitlines()
        ]
        return sorted(lines, key=lambda line: float(line["at_s"]))

    def wait(self, what: str, is_so: Callable[[], bool]) -> None:
        """Return once something is so."""
        end_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end_s, f"stock: {what} is not so after {PATIENCE_S} s"
            time.sleep(0.1)

    def steps_since(self, at_s: float) -> list[dict[str, Any]]:
        """Steps that were finished after a moment."""
        return [n for n in self.notes() if n["what"] == "step" and n["at_s"] > at_s]


def measure_stock(run: StockRun, act: Callable[[dict[str, Any]], None]) -> dict[str, float]:
    """Do something to one of the workers, and say what it cost the group.

    Args:
        run: A group at work.
        act: Given a worker's pid and node.

    Returns:
        Seconds: from the fault until the last old process is gone (``teardown``), until the
        first new one is up (``regroup``), has loaded (``load``), and a step is finished
        (``standstill``); and steps done twice.
    """
    run.wait("ten steps", lambda: len(run.steps_since(0)) > 10 * WORKERS)
    before = run.notes()
    newest = {n["pid"]: n for n in before}
    old = [pid for pid in newest if Path(f"/proc/{pid}").exists()]
    victim = newest[max(old)]
    fault_s = time.time()
    last = max(int(n["step"]) for n in before)
    act(victim)
    gone: dict[int, float] = {}

    def is_over() -> bool:
        for pid in old:
            if pid not in gone and not Path(f"/proc/{pid}").exists():
                gone[pid] = time.time()
        starts = [n for n in run.notes() if n["what"] == "started" and n["at_s"] > fault_s]
        return bool(starts) and bool(run.steps_since(starts[0]["at_s"]))

    run.wait("a step after the fault", is_over)
    later = [n for n in run.notes() if n["at_s"] > fault_s]
    first = {
        what: next(n["at_s"] for n in later if n["what"] == what)
        for what in ("started", "loaded", "restored")
    }
    steps = run.steps_since(first["restored"])
    return {
        "teardown_s": max(gone.values(), default=fault_s) - fault_s,
        "regroup_s": first["started"] - fault_s,
        "loaded_s": first["loaded"] - fault_s,
        "standstill_s": steps[0]["at_s"] - fault_s,
        "steps_replayed": max(0, last + 1 - int(steps[0]["step"])),
    }
