"""A fleet without Ray: plain processes that train in earnest, each with an act to perform.

What is real: the loop, the exact sums, the quorum with its lighthouse, Gloo, state from a
neighbour, checkpoints in a store. What is small: model and data, so that a phase of a step can
be hit exactly, and a whole training takes seconds.
"""

import itertools
import json
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from orchestrator.cluster.lighthouse import HEARTBEAT_TIMEOUT_MS, JOIN_WAIT_MS, TICK_MS, native
from orchestrator.cluster.quorum import CellPeers, CellSeat
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import Part, Plan
from orchestrator.storage import Store
from orchestrator.train.background import STATE, BackgroundCheckpoints
from orchestrator.train.checkpoint import latest_checkpoint
from orchestrator.train.contracts import Departures, Membership, Wishes
from orchestrator.train.crew import Alone, Source
from orchestrator.train.loop import Loop
from orchestrator.train.rounds import Terms
from orchestrator.train.state import Replica
from tests.unit.train.small import (
    CONFIG,
    EVAL_PLAN,
    TRAIN_PLAN,
    PlannedBatches,
    SmallLearner,
    new_tensors,
)

EPOCHS = 8
PLAN = Plan(
    tokens_N=TRAIN_PLAN.tokens_N,
    cost_N=TRAIN_PLAN.cost_N,
    epochs=EPOCHS,
    global_batch=6,
    micro_tokens=40,
    seed=3,
)
TERMS = Terms(num_steps=PLAN.num_steps, eval_pieces=EVAL_PLAN.num_steps, eval_every_steps=10)
MICRO_S = 0.03
"""What a micro-batch takes: long enough for all processes to be up before the end."""
PATIENCE_S = 60.0

LIGHTHOUSE = -1
"""The lighthouse, among the processes of cells."""

Phase = Literal[
    "computing", "agreeing", "adding", "added", "committing", "committed", "offering", "writing"
]
Act = Literal["kill", "freeze", "leave", "save"]


@dataclass(frozen=True)
class Cue:
    """What a cell does to itself, once, and when."""

    act: Act
    phase: Phase
    step: int
    """The first step at which it may happen."""
    world_size: int = 3
    """How many must have been in the last round."""


@dataclass
class Actor:
    """Performs a cell's cue when its phase comes."""

    cue: Cue | None
    replica: Replica
    world_size: int = 0
    wants: Wishes = field(default_factory=Wishes)

    def at(self, phase: Phase) -> None:
        cue = self.cue
        if cue is None or cue.phase != phase or self.world_size != cue.world_size:
            return
        if self.replica.progress.step < cue.step:
            return
        self.cue = None
        match cue.act:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "freeze":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "leave":
                self.wants = Wishes(leaving=True)
            case "save":
                self.wants = Wishes(saving=True)


@dataclass
class ActingPeers:
    """``CellPeers`` with an actor's phases around every call."""

    peers: CellPeers
    actor: Actor

    def agree(self) -> Membership | None:
        self.actor.at("agreeing")
        found = self.peers.agree()
        if found is not None:
            self.actor.world_size = found.world_size
        return found

    def add(self, payload: Tensor) -> bool:
        self.actor.at("adding")
        done = self.peers.add(payload)
        self.actor.at("added")
        return done

    def commit(self) -> bool:
        self.actor.at("committing")
        done = self.peers.commit()
        self.actor.at("committed")
        return done


@dataclass
class ActingLearner(SmallLearner):
    """``SmallLearner`` that takes its time."""

    actor: Actor | None = None

    def backward(self, batch: MicroBatch) -> float:
        time.sleep(MICRO_S)
        assert self.actor is not None
        self.actor.at("computing")
        return super().backward(batch)


@dataclass
class Diary:
    """``train.contracts.Observer`` that writes to a file of its own."""

    path: Path
    actor: Actor
    checkpoints: BackgroundCheckpoints

    def record(self, kind: str, **fields: Any) -> None:
        line = {"kind": kind, "wall_s": time.time(), "pid": os.getpid(), **fields}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        raise AssertionError(f"{part} {batch.address}")

    def halved(self, batch: MicroBatch, *, parts: int) -> None:
        raise AssertionError(f"{batch.address} in {parts}")

    def wishes(self) -> Wishes:
        return self.actor.wants

    def is_regrouping(self) -> bool:
        return False

    def round_done(
        self, replica: Replica, membership: Membership, departures: Departures
    ) -> None:
        step = replica.progress.step
        if membership.rank == 0 and (step % 5 == 0 or departures.num_saving):
            self.actor.at("offering")
            self.checkpoints.offer(step, replica.to_buffer(self.checkpoints.spare()))
        if not departures.num_leaving or not self.actor.wants.leaving:
            self.actor.wants = Wishes()


@dataclass(frozen=True)
class Orders:
    """All that a process is told."""

    folder: Path
    cell: int
    lighthouse: str
    cue: Cue | None


def forks() -> Any:
    """Processes that find torch loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.fleet"])
    return context


def live(orders: Orders) -> None:
    """Train one cell, from the newest checkpoint if there is one."""
    store = Store.open(str(orders.folder / "store"))
    replica = Replica(new_tensors(), weight_decay=CONFIG.weight_decay)
    checkpoint, _ = latest_checkpoint(store)
    if checkpoint is not None:
        replica.load_bytes(checkpoint.files[STATE])
    actor = Actor(orders.cue, replica)
    path = orders.folder / f"cell{orders.cell}.jsonl"
    checkpoints = BackgroundCheckpoints(
        store, 2, lambda: actor.at("writing"), lambda *_, **__: None
    )
    diary = Diary(path, actor, checkpoints)
    seat = CellSeat(orders.cell, "127.0.0.1", orders.lighthouse, "secret", min_workers=1)
    peers = CellPeers(
        replica,
        seat,
        watch=lambda number, cells: diary.record("quorum", number=number, cells=cells),
    )
    diary.record("up", step=replica.progress.step)
    learner = ActingLearner(replica.tensors, actor=actor)
    batches = PlannedBatches(plan=PLAN)
    acting = ActingPeers(peers, actor)
    crew = Alone(replica, learner, Source(batches, diary))
    end = Loop(replica, CONFIG, TERMS, batches, crew, acting, diary).run()
    peers.leave()
    checkpoints.close()
    diary.record(end, sha256=replica.weights_sha256(), step=replica.progress.step)


@dataclass
class Fleet:
    """The processes of one training, and what they tell."""

    folder: Path
    port: int
    """The lighthouse's."""
    processes: dict[int, list[BaseProcess]] = field(default_factory=dict)

    def start_lighthouse(self) -> None:
        """Start the lighthouse, or start it again."""
        process = forks().Process(target=shine, args=(self.port,), daemon=True)
        process.start()
        self.processes.setdefault(LIGHTHOUSE, []).append(process)

    def start(self, cell: int, cue: Cue | None = None) -> BaseProcess:
        """Start a cell, or start it again."""
        orders = Orders(self.folder, cell, f"http://127.0.0.1:{self.port}", cue)
        process = forks().Process(target=live, args=(orders,), daemon=True)
        process.start()
        self.processes.setdefault(cell, []).append(process)
        return process

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What all cells have told so far, in order of time."""
        # They are still writing: the store leaves out a line that is not finished.
        store = Store.open(str(self.folder))
        lines = [
            json.loads(line)
            for path in self.folder.glob("cell*.jsonl")
            for line in store.read_lines(path.name)
        ]
        found = [line for line in lines if kind in (None, line["kind"])]
        return sorted(found, key=lambda line: float(line["wall_s"]))

    def wait_for(self, what: str, is_so: Any) -> None:
        """Return once something is so."""
        end_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end_s, self._overdue(what)
            time.sleep(0.02)

    def _overdue(self, what: str) -> str:
        newest = "\n".join(map(str, self.events()[-12:]))
        return f"{what}: not so after {PATIENCE_S:.0f} s; what was told last:\n{newest}"

    def wait_until_done(self, *cells: int) -> None:
        """Return once these cells have trained to the end."""
        for cell in cells:
            process = self.processes[cell][-1]
            process.join(PATIENCE_S)
            assert process.exitcode == 0, f"cell {cell} ended with {process.exitcode}"

    def newest_step(self) -> int:
        """The newest that anybody has finished."""
        return max((int(event["step"]) for event in self.events("step")), default=0)

    def hashes(self) -> set[str]:
        """Of the weights of all that trained to the end."""
        return {event["sha256"] for event in self.events("done")}

    def longest_gap_s(self) -> float:
        """The longest time between one step and the next, told by whoever was first."""
        first: dict[int, float] = {}
        for event in self.events("step"):
            first.setdefault(event["step"], event["wall_s"])
        times = [wall_s for _, wall_s in sorted(first.items())]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def close(self) -> None:
        """End all processes, frozen ones too."""
        for process in [p for each in self.processes.values() for p in each]:
            with suppress(ProcessLookupError, TypeError, ValueError):
                os.kill(process.pid or 0, signal.SIGKILL) if process.is_alive() else None
            process.join(10)


def shine(port: int) -> None:
    """A lighthouse on loopback, until the process is ended."""
    server = native().LighthouseServer(
        bind=f"127.0.0.1:{port}",
        min_replicas=1,
        join_timeout_ms=JOIN_WAIT_MS,
        quorum_tick_ms=TICK_MS,
        heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS,
    )
    while server.address():
        time.sleep(60)


def free_port() -> int:
    """A port of loopback that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """A fleet without a cell yet; all processes end with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Fleet(folder, free_port())
    made.start_lighthouse()
    try:
        yield made
    finally:
        made.close()
