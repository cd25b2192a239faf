"""Crews of plain processes that train a tiny model on micro-batches made on the spot.

No Ray: the processes meet on the loopback interface, and report through a queue.

Letters: K micro-batches of a step; S samples; L tokens.
"""

import json
import os
import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist

from orchestrator.config.job import Job
from orchestrator.data.micro_batch import Fault, MicroBatch
from orchestrator.errors import OrchestratorError
from orchestrator.models.family import ModelInfo
from orchestrator.models.lora import trained_tensors
from orchestrator.models.sharding import held_bytes
from orchestrator.plan.steps import Part, Plan, StepPlan
from orchestrator.train.contracts import Crew
from orchestrator.train.crew import Alone, Source
from orchestrator.train.exact import Count, GradientSum, clip
from orchestrator.train.leader import Leader, follow
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.lockstep import LockstepLearner
from orchestrator.train.member import Member
from orchestrator.train.orders import Bounds, CrewGroups
from orchestrator.train.state import Replica

Trouble = Literal["killed", "frozen", "flipped", "poisoned", "failing"]

CPU = torch.device("cpu")
NUM_STEPS = 4
PLAN = Plan(
    tokens_N=np.array([10 + 7 * (n % 5) for n in range(22)]),
    cost_N=np.array([1.0 + n % 3 for n in range(22)]),
    epochs=1,
    global_batch=6,
    micro_tokens=40,
    seed=3,
)
"""Four steps of 5, 5, 4 and 3 micro-batches or so: no number of workers divides them all."""
BROKEN = frozenset({4, 9})
"""Samples whose pictures cannot be read."""
UNLABELLED = 7
"""A sample of which nothing is learned."""

PATIENCE_S = 60.0
EVERYBODY = -1
"""In place of a rank."""
BOUNDS = Bounds()

# Loading torch and transformers takes seconds: once, and every process is a copy.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.made_crew"])


@dataclass(frozen=True)
class MadeBatches:
    """``train.contracts.Batches``: each sample follows from its number, pictures and all."""

    info: ModelInfo
    before_fetch: Callable[[Part, StepPlan], None] = lambda _part, _plan: None

    def step_plan(self, part: Part, step: int) -> StepPlan:
        del part
        return PLAN.step(step)

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch:
        self.before_fetch(part, plan)
        planned = plan.micros[micro].samples
        present = tuple(sample for sample in planned if sample not in BROKEN)
        made = [self._sample(sample) for sample in present]
        coder, faults = self.info.images, [sample for sample in planned if sample in BROKEN]
        grids = [coder.grid(*picture.shape[:2]) for one in made for picture in one[2]]
        patches = [coder.patches(picture) for one in made for picture in one[2]]
        return MicroBatch(
            address=plan.address(micro),
            samples=present,
            ids=tuple(f"id{sample}" for sample in present),
            faults=tuple(Fault(sample, f"id{sample}", "cut short") for sample in faults),
            ids_L=np.concatenate([np.zeros(0, np.int32), *(one[0] for one in made)]),
            labels_L=np.concatenate([np.zeros(0, np.bool_), *(one[1] for one in made)]),
            lengths_S=np.array([len(one[0]) for one in made], np.int32),
            images_S=np.array([len(one[2]) for one in made], np.int32),
            grids_I3=np.array(grids, np.int32).reshape(-1, 3),
            patches_PD=np.concatenate([np.zeros((0, 3 * coder.patch**2), np.uint8), *patches]),
        )

    def _sample(self, sample: int) -> tuple[Any, Any, list[Any]]:
        """Ids [L], labels [L] and pictures; none, one or two of those."""
        rng = np.random.default_rng(sample)
        sizes = [self.info.images.target_size(50 + sample, 90) for _ in range(sample % 3)]
        pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
        text = rng.integers(20, 60, 4 + sample % 5)
        ids_L = np.concatenate([[11], np.full(len(pictures), -1), text]).astype(np.int32)
        labels_L = np.arange(len(ids_L)) >= len(ids_L) - 3
        return ids_L, labels_L & (sample != UNLABELLED), pictures


@dataclass
class Notes:
    """``train.crew.Ledger`` in memory."""

    slots: list[tuple[str, int]] = field(default_factory=list)

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        self.slots += [(part, fault.sample) for fault in batch.faults]

    def halved(self, batch: MicroBatch, *, parts: int) -> None:
        raise AssertionError(f"{batch.address} in {parts}")


@dataclass(frozen=True)
class Scenario:
    """What happens to a crew. All of it can be sent to a process."""

    job_json: str
    size: int
    """0 is a worker alone, which holds all of the base and needs no process group."""
    steps: int = NUM_STEPS
    start: bytes | None = None
    """A state that replaces the leader's after its first step, as a neighbour's would."""
    idle_s: float = 0.0
    """How long the leader rests after its first step."""
    bounds: Bounds = BOUNDS
    trouble: tuple[int, Trouble] | None = None
    """What a member, by its rank, or everybody suffers in the second step."""


@dataclass
class Story:
    """What a process had to tell."""

    rank: int
    sha256: str = ""
    state: bytes = b""
    """As it was after the third step."""
    scores: list[list[int]] = field(default_factory=list)
    slots: list[tuple[str, int]] = field(default_factory=list)
    culprits: list[int] = field(default_factory=list)
    held_bytes: int = 0
    wait_s: float = 0.0
    """From the second step on to the end or the error."""
    error: str = ""


def tiny_job(folder: Path, **sections: dict[str, Any]) -> str:
    """A job over a tiny model, with dropout; no data is ever read."""
    job: dict[str, Any] = {
        "name": "crew",
        "model": {"path": str(folder)},
        "data": {"train": {"path": "none.json"}},
        "images": {"max_pixels": 28_000},
        "lora": {"rank": 4, "dropout": 0.3},
        "train": {"learning_rate": 1e-2, "recompute": True},
    }
    return json.dumps({**job, **sections})


def run_crew(scenario: Scenario) -> list[Story]:
    """Run all members to their end; a story each, by rank, of those that lived to tell one."""
    stories, store = (
        CONTEXT.Queue(),
        dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False),
    )
    members = [
        CONTEXT.Process(target=live, args=(scenario, rank, store.port, stories), daemon=True)
        for rank in range(max(1, scenario.size))
    ]
    for member in members:
        member.start()
    told = _listen(members, stories)
    for member in members:
        # Whoever is frozen does not end by itself.
        member.kill()
        member.join()
    return sorted(told, key=lambda story: story.rank)


def _listen(members: list[BaseProcess], stories: Any) -> list[Story]:
    told: list[Story] = []
    end_s = time.monotonic() + PATIENCE_S
    while len(told) < len(members) and time.monotonic() < end_s:
        try:
            told.append(stories.get(timeout=0.2))
        except queue.Empty:
            living = {number for number, member in enumerate(members) if _runs(member)}
            if not living - {story.rank for story in told} and stories.empty():
                break
    return told


def _runs(member: BaseProcess) -> bool:
    """Whether a process is alive and not frozen."""
    if not member.is_alive():
        return False
    stat = Path(f"/proc/{member.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "T"


def live(scenario: Scenario, rank: int, port: int, stories: Any) -> None:
    """One member's life: train as told, and tell how it went."""
    story = Story(rank)
    started_s = time.monotonic()
    try:
        _live(scenario, story, port)
    except OrchestratorError as error:
        story.error = f"{type(error).__name__}: {error}"
    if scenario.trouble is not None:
        story.wait_s = time.monotonic() - max(started_s, story.wait_s)
    stories.put(story)


def _live(scenario: Scenario, story: Story, port: int) -> None:
    job, rank = Job.model_validate_json(scenario.job_json), story.rank
    groups = None
    if scenario.size:
        store = dist.TCPStore("127.0.0.1", port)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=scenario.size)
        groups = CrewGroups.open(CPU, scenario.bounds)
    learner = VisionLanguageLearner.load(job, CPU, groups and groups.mesh)
    replica = Replica(trained_tensors(learner.model), weight_decay=0.1)
    notes, lockstep = Notes(), LockstepLearner(learner)
    source = Source(MadeBatches(learner.info, _trouble(scenario, story, replica)), notes)
    if groups is None:
        _train(scenario, story, replica, Alone(replica, learner, source), source)
    elif rank == 0:
        leader = Leader(Member(groups, replica, lockstep, source))
        try:
            _train(scenario, story, replica, leader, source)
        finally:
            leader.close()
    else:
        follow(Member(groups, replica, lockstep, source))
    story.sha256, story.slots = replica.weights_sha256(), sorted(notes.slots)
    story.held_bytes = held_bytes(learner.model)


def _trouble(scenario: Scenario, story: Story, replica: Replica) -> Callable[..., None]:
    """What is done as a micro-batch is fetched: once, in the second step."""
    done: list[bool] = []

    def before_fetch(part: Part, plan: StepPlan) -> None:
        if scenario.trouble is None or plan.step != 1 or part != "train":
            return
        story.wait_s = story.wait_s or time.monotonic()
        rank, what = scenario.trouble
        if rank in (story.rank, EVERYBODY) and not done:
            done.append(True)
            _suffer(what, replica)

    return before_fetch


def _suffer(what: Trouble, replica: Replica) -> None:
    tensor = next(iter(replica.tensors.values())).data
    match what:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "frozen":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "flipped":
            tensor.view(torch.int32)[0, 0] ^= 1
        case "poisoned":
            tensor[0, 0] = torch.nan
        case "failing":
            raise OrchestratorError("no such micro-batch", "here", "Look for it")


def _train(
    scenario: Scenario, story: Story, replica: Replica, crew: Crew, source: Source
) -> None:
    """The loop of a cell without neighbours, as short as can be."""
    while replica.progress.step < scenario.steps:
        plan = source.batches.step_plan("train", replica.progress.step)
        micros = list(range(len(plan.micros)))
        total = GradientSum(replica.tensors, replica.progress.grid, num_micros=len(micros))
        # In two hands, as when some of another cell's fall to this one.
        crew.compute(plan, micros[:-1], total)
        crew.compute(plan, micros[-1:], total)
        story.culprits = [culprit.micro for culprit in total.culprits]
        if total.culprits:
            raise total.culprits[0].error(plan.step + 1)
        reduced = total.reduced(total.payload(replica.fingerprint()))
        assert set(reduced.times_K) == {1}
        if reduced.counts[Count.OUT_OF_RANGE]:
            progress = replica.progress
            grid, rounds = reduced.next_grid, progress.round + 1
            replica.progress = replace(progress, round=rounds, grid=grid)
            continue
        gradients_T = reduced.per_token()
        clip(gradients_T, 1.0)
        crew.apply(gradients_T, learning_rate=1e-2, grid=reduced.next_grid)
        story.scores += crew.score(plan, micros).tolist()
        if replica.progress.step == 3:
            story.state = replica.to_bytes()
        if replica.progress.step == 1 and plan.step == 0:
            time.sleep(scenario.idle_s)
            if scenario.start is not None:
                replica.load_bytes(scenario.start)
