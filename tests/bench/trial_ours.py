"""One training of ours with one fault in it, in a process and on a cluster of its own."""

import json
import os
import queue
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cluster.local import start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import train
from tests.bench.breaking import NODES, NOTICE_S, SLOT, Breaker, Victim, record, started_s
from tests.bench.small_job import Shape, make_job

LOOK_S = 0.05
MID_STEP_S = 0.15
"""From a step's end into the middle of the next."""


@dataclass
class Log:
    """The run's events, and who is in it."""

    fault_step: int
    world_size: int
    events: list[dict[str, Any]] = field(default_factory=list)
    workers: dict[int, Victim] = field(default_factory=dict)
    due: "queue.Queue[list[Victim]]" = field(default_factory=queue.Queue)
    is_due: bool = False

    def watch(self, events: list[Any]) -> None:
        """Take note of events as they come; say whom a fault may hit once it is time."""
        for event in events:
            self.events.append(event)
            if event["kind"] == "joined":
                self.workers[event["cell"]] = Victim(event["pid"], event["node"])
                event["process_s"] = started_s(event["pid"])
            if event["kind"] in ("lost", "left"):
                self.workers.pop(event["cell"], None)
            if event["kind"] == "step":
                self._step(event)

    def _step(self, event: dict[str, Any]) -> None:
        is_time = event["step"] >= self.fault_step and event["world_size"] == self.world_size
        if is_time and not self.is_due and len(self.workers) == self.world_size:
            self.is_due = True
            self.due.put([self.workers[cell] for cell in sorted(self.workers)])


def trial_shape(told: dict[str, Any]) -> Shape:
    """The job of a trial: the same for ours and for stock."""
    return Shape(steps=told["steps"], global_batch=told["global_batch"], workers=(1, NODES))


def run(told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train the job, do the fault when it is time, and give what there is to know."""
    fault = told["fault"]
    nodes = NODES - 1 if fault == "grow" else NODES
    job = make_job(folder, trial_shape(told))
    log = Log(told["fault_step"], nodes)
    with start_cluster(nodes, resources=SLOT) as local, open_session(local.address, cpus=1):
        breaker = Breaker(local)
        prepared = prepare(job)
        pool = ThreadPoolExecutor(1)
        training = pool.submit(train, prepared, log.watch)
        try:
            found = _see_through(training, log, breaker, told)
        finally:
            breaker.clear_up()
    # Read only now: the last of them came with the result.
    return {**found, "events": log.events}


def _see_through(
    training: "Future[Any]", log: Log, breaker: Breaker, told: dict[str, Any]
) -> dict[str, Any]:
    end_s = time.monotonic() + told["patience_s"]
    found: dict[str, Any] = {}
    doomed: tuple[float, str] | None = None
    while not training.done():
        if time.monotonic() > end_s:
            return {**found, "problem": f"not done after {told['patience_s']:.0f} s"}
        if doomed and time.time() > doomed[0]:
            breaker.end_notice(doomed[1])
            doomed = None
        if not log.due.empty() and told["fault"] != "none":
            workers = log.due.get()
            time.sleep(MID_STEP_S)
            breaker.act(told["fault"], workers)
            found["fault"] = record(breaker, workers)
            if told["fault"] == "drain":
                doomed = (breaker.began_s + NOTICE_S, workers[-1].node)
        time.sleep(LOOK_S)
    result = training.result()
    return {
        **found,
        "sha256": result.weights_sha256,
        "replayed": result.figures.steps_replayed,
    }


def main(told: str, out: str) -> None:
    """Do one trial, told as JSON, and write what was found to a file."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = run(json.loads(told), Path(folder))
        except Exception as error:  # noqa: BLE001 - the table has to say so
            found = {"problem": f"{type(error).__name__}: {error}", "events": []}
    Path(out).write_text(json.dumps(found))
    sys.stdout.flush()
    # A training that did not end is a thread that would keep this process.
    os._exit(0)
