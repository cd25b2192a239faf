"""One training by stock Ray Train with one fault in it: the same model, data and step time.

Plain ``TorchTrainer``, defaults everywhere: synchronous gradients by gloo, checkpoints through
``ray.train.report``, retries without limit. Where a fault leaves too few nodes, workers are a
range, which is Ray's own elastic way. It reads micro-batches that were rendered beforehand, so
that its first batch costs nothing: a pipeline of Ray Data would add to its times.

What happens is written to one file, a line each, by workers and by whoever watches.
"""

import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train import Checkpoint, FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchTrainer

from orchestrator.cluster.local import start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.session import open_session
from tests.bench.breaking import (
    NODES,
    NOTICE_S,
    SLOT,
    Breaker,
    Victim,
    is_gone,
    record,
    started_s,
)
from tests.bench.small_job import make_job, write_rendered
from tests.bench.trial_ours import LOOK_S, MID_STEP_S, trial_shape

ELASTIC = ("node", "freeze", "drain", "grow")
"""Faults that leave another number of nodes; the others are met with a fixed number."""
STEPS_AFTER = 4
"""That are waited for once the training goes on."""


def note(path: str, what: str, **fields: Any) -> None:
    """Append a line; lines of several processes do not mix."""
    line = json.dumps({"what": what, "wall_s": time.time(), "pid": os.getpid(), **fields})
    with Path(path).open("a") as file:
        file.write(line + "\n")


class Noticing(UserCallback):  # type: ignore[misc]
    """Says when the controller finds that a worker failed."""

    def __init__(self, path: str) -> None:
        self._path = path

    def after_exception(
        self, run_context: Any, worker_exceptions: dict[int, Exception]
    ) -> None:
        del run_context
        note(self._path, "noticed", ranks=sorted(worker_exceptions))


def train_stock(config: dict[str, Any]) -> None:
    """What stock Ray Train calls in each worker; the process group is up by then."""
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()

    def tell(what: str, **fields: Any) -> None:
        note(config["log"], what, rank=rank, world_size=world_size, **fields)

    tell("grouped", node=ray.get_runtime_context().get_node_id())
    from tests.bench.plain import Plain  # noqa: PLC0415 - torch, transformers

    tell("imported")
    plain = Plain(config["job_json"], rank, world_size)
    tell("loaded")
    checkpoint = ray.train.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            plain.load(Path(folder) / "state.pt")
    tell("restored", step=plain.step)
    for batches in plain.steps(Path(config["rendered"])):
        if plain.step == plain.first_step:
            tell("batch")
        plain.train_step(batches)
        tell("step", step=plain.step)
        if plain.step % config["checkpoint_every_steps"] == 0:
            report(plain, rank)


def report(plain: Any, rank: int) -> None:
    """A checkpoint by the first worker, and a word by all: Ray waits for each."""
    with tempfile.TemporaryDirectory() as folder:
        if rank == 0:
            plain.save(Path(folder) / "state.pt")
        checkpoint = Checkpoint.from_directory(folder) if rank == 0 else None
        ray.train.report({"step": plain.step}, checkpoint=checkpoint)


class Watcher:
    """Reads the log as it grows, and sees processes end."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self.lines: list[dict[str, Any]] = []
        self._alive: set[int] = set()

    def look(self) -> None:
        """Read what is new."""
        with self._path.open() as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole.encode())
        for line in map(json.loads, whole.splitlines()):
            self.lines.append(line)
            if line["what"] == "grouped":
                line["process_s"] = started_s(line["pid"])
                self._alive.add(line["pid"])
        for pid in [pid for pid in self._alive if is_gone(pid)]:
            self._alive.discard(pid)
            self.lines.append({"what": "gone", "wall_s": time.time(), "pid": pid})

    def steps(self) -> list[dict[str, Any]]:
        """Steps, as the first worker told them."""
        return [x for x in self.lines if x["what"] == "step" and x["rank"] == 0]

    def workers(self) -> list[Victim]:
        """Those at work, by rank."""
        newest = {x["rank"]: x for x in self.lines if x["what"] == "grouped"}
        return [
            Victim(newest[rank]["pid"], newest[rank]["node"])
            for rank in sorted(newest)
            if newest[rank]["pid"] in self._alive
        ]


def run(told: dict[str, Any], folder: Path, out: Path) -> None:
    """Train, do the fault when it is time, and stop a few steps after the training goes on."""
    fault = told["fault"]
    nodes = NODES - 1 if fault == "grow" else NODES
    job = make_job(folder, trial_shape(told))
    log = folder / "log.jsonl"
    log.touch()
    with start_cluster(nodes, resources=SLOT, health_check={}) as local:
        breaker, watcher = Breaker(local), Watcher(log)
        with open_session(local.address, cpus=1):
            write_rendered(prepare(job), folder / "rendered.pkl")
            trainer = {
                "log": str(log),
                "job_json": job.model_dump_json(),
                "rendered": str(folder / "rendered.pkl"),
                "checkpoint_every_steps": job.train.checkpoint_every_steps,
            }
            threading.Thread(
                target=fit, args=(trainer, fault, folder / "stock"), daemon=True
            ).start()
            try:
                found = see_through(watcher, breaker, told, nodes)
            finally:
                breaker.clear_up()
            # Now: Ray may end this process as its cluster goes, from C++.
            out.write_text(json.dumps({**found, "lines": watcher.lines}))


def fit(config: dict[str, Any], fault: str, storage: Path) -> None:
    """Fit, and fit again where the trainer itself died: stock leaves that to the user."""
    while True:
        trainer = TorchTrainer(
            train_stock,
            train_loop_config=config,
            scaling_config=ScalingConfig(
                num_workers=(1, NODES) if fault in ELASTIC else NODES,
                resources_per_worker={"CPU": 1, **SLOT},
            ),
            run_config=RunConfig(
                name="stock",
                storage_path=str(storage),
                failure_config=FailureConfig(max_failures=-1),
                callbacks=[Noticing(config["log"])],
            ),
        )
        try:
            trainer.fit()
        except Exception as error:  # noqa: BLE001 - as above
            note(config["log"], "fit_raised", error=type(error).__name__)
            time.sleep(1)
        else:
            note(config["log"], "fit_returned")
            return


def see_through(
    watcher: Watcher, breaker: Breaker, told: dict[str, Any], nodes: int
) -> dict[str, Any]:
    """Until the training has gone on for some steps, or for no longer than patience lasts."""
    end_s = time.monotonic() + told["patience_s"]
    found: dict[str, Any] = {}
    doomed: tuple[float, str] | None = None
    while time.monotonic() < end_s:
        watcher.look()
        if not found and is_time(watcher, told["fault_step"], nodes):
            time.sleep(MID_STEP_S)
            workers = watcher.workers()
            breaker.act(told["fault"], workers)
            found["fault"] = record(breaker, workers)
            if told["fault"] == "drain":
                doomed = (breaker.began_s + NOTICE_S, workers[-1].node)
        if doomed and time.time() > doomed[0]:
            breaker.end_notice(doomed[1])
            doomed = None
        if found and doomed is None and goes_on(watcher, found["fault"]):
            return found
        time.sleep(LOOK_S)
    return {**found, "problem": f"not going on after {told['patience_s']:.0f} s"}


def is_time(watcher: Watcher, fault_step: int, nodes: int) -> bool:
    """Whether the step is there, with all workers."""
    steps = watcher.steps()
    return bool(
        steps
        and steps[-1]["step"] >= fault_step
        and steps[-1]["world_size"] == nodes
        and len(watcher.workers()) == nodes
    )


def goes_on(watcher: Watcher, fault: dict[str, Any]) -> bool:
    """Whether other workers than those of before have done steps that nobody had done."""
    steps = watcher.steps()
    before = max(x["step"] for x in steps if x["pid"] in fault["workers"])
    new = [x for x in steps if x["pid"] not in fault["workers"] and x["step"] > before]
    return len(new) >= STEPS_AFTER


def main(told: str, out: str) -> None:
    """Do one trial, told as JSON, and write what was found to a file."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(json.loads(told), Path(folder), Path(out))
        except Exception as error:  # noqa: BLE001 - the table has to say so
            if not Path(out).exists():
                problem = f"{type(error).__name__}: {error}"
                Path(out).write_text(json.dumps({"problem": problem, "lines": []}))
    # The trainer's thread would keep this process.
    os._exit(0)
