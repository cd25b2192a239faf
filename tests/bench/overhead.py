"""What it costs to be elastic and exact while nothing goes wrong.

    .venv/bin/python -m tests.bench.overhead             both parts, some 12 minutes
    .venv/bin/python -m tests.bench.overhead --part core

Against a plain loop of as many processes and threads over the same micro-batches, with float32
gradients, a plain all-reduce, AdamW, and a checkpoint at the same steps.

* core: the loop, its quorum, sums and checkpoints, without Ray. A micro-batch takes a fixed
  time in which the processor is idle, as it is while an accelerator computes.
* ray: a whole training on a Ray cluster of two nodes, micro-batches through the hand-out, with
  a real model computed on this machine's cores, which Ray's own processes share. The plain loop
  has its micro-batches rendered and in memory before it begins.
"""

import argparse
import io
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RUST_LOG", "error")

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import Parameter

from orchestrator.cluster.handout import Course, Wanted
from orchestrator.cluster.local import start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.quorum import CellPeers, CellSeat
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import train
from orchestrator.config.job import Job
from orchestrator.config.train import TrainConfig
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.render import render_table
from orchestrator.models.lora import trained_tensors
from orchestrator.plan.deal import deal_step
from orchestrator.plan.steps import Address, Part, Plan, StepPlan
from orchestrator.storage import Store
from orchestrator.train.background import BackgroundCheckpoints
from orchestrator.train.contracts import Deal, Departures, Membership, Wishes
from orchestrator.train.crew import Alone, Source
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.loop import Loop
from orchestrator.train.rounds import Terms
from orchestrator.train.state import Replica
from tests.faults.fleet import free_port, shine
from tests.made_job import made_job

WORLD = 2
TRAINED = 1_000_000
"""Numbers that the core's adapter has: 4 MB, as LoRA of rank 8 on a small model."""
MICROS = 8


# The core: a fixed time for each micro-batch.


class TimedBatches:
    """Micro-batches with nothing in them."""

    def __init__(self, num_steps: int) -> None:
        samples = np.full(MICROS, 10)
        self.plan = Plan(
            tokens_N=samples,
            cost_N=np.ones(MICROS),
            epochs=num_steps,
            global_batch=MICROS,
            micro_tokens=10,
            seed=0,
        )

    def step_plan(self, part: Part, step: int) -> StepPlan:
        del part
        return self.plan.step(step)

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch:
        del part
        samples = plan.micros[micro].samples
        nothing = np.zeros(0, dtype=np.int32)
        return MicroBatch(
            address=Address(plan.epoch, plan.step, micro),
            samples=samples,
            ids=tuple(map(str, samples)),
            faults=(),
            ids_L=np.zeros(2, dtype=np.int32),
            labels_L=np.array([False, True]),
            lengths_S=np.array([2], dtype=np.int32),
            images_S=np.zeros(1, dtype=np.int32),
            grids_I3=nothing.reshape(0, 3),
            patches_PD=np.zeros((0, 0), dtype=np.uint8),
        )

    def expect(self, part: Part, step: int, deal: Deal) -> None:
        del part, step, deal


class TimedLearner:
    """Takes a fixed time, and leaves a gradient."""

    def __init__(self, parameter: Parameter, micro_s: float) -> None:
        self._parameter, self._micro_s = parameter, micro_s
        self._gradient = torch.randn_like(parameter)

    def backward(self, batch: MicroBatch) -> float:
        del batch
        time.sleep(self._micro_s)
        # A copy into place, as an accelerator's gradient would be there.
        if self._parameter.grad is None:
            self._parameter.grad = self._gradient.clone()
        else:
            self._parameter.grad.add_(self._gradient)
        return 1.0

    def score(self, batch: MicroBatch) -> Any:
        raise NotImplementedError


class Watch:
    """Notes when each step was done, and has checkpoints written."""

    def __init__(self, checkpoints: BackgroundCheckpoints, every: int) -> None:
        self.times: list[float] = []
        self._checkpoints, self._every = checkpoints, every

    def record(self, kind: str, **fields: Any) -> None:
        del fields
        if kind == "step":
            self.times.append(time.monotonic())

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        raise AssertionError(part, batch.address)

    def wishes(self) -> Wishes:
        return Wishes()

    def is_regrouping(self) -> bool:
        return False

    def round_done(
        self, replica: Replica, membership: Membership, departures: Departures
    ) -> None:
        del departures
        step = replica.progress.step
        if membership.rank == 0 and step and step % self._every == 0:
            self._checkpoints.offer(step, replica.to_bytes())


def core_ours(
    rank: int, port: int, folder: str, micro_s: float, steps: int, every: int
) -> None:
    """One cell."""
    torch.set_num_threads(1)
    parameter = Parameter(torch.zeros(TRAINED))
    replica = Replica({"adapter": parameter}, weight_decay=0.0)
    checkpoints = BackgroundCheckpoints(
        Store.open(folder), 2, lambda: None, lambda *_, **__: None
    )
    watch = Watch(checkpoints, every)
    batches = TimedBatches(steps)
    seat = CellSeat(rank, "127.0.0.1", f"http://127.0.0.1:{port}", "secret", WORLD)
    peers = CellPeers(replica, seat, watch=lambda *_: None)
    crew = Alone(replica, TimedLearner(parameter, micro_s), Source(batches, watch))
    terms = Terms(num_steps=steps, eval_pieces=0, eval_every_steps=None)
    Loop(replica, TrainConfig(), terms, batches, crew, peers, watch).run()
    peers.leave()
    checkpoints.close()
    Path(folder, f"ours{rank}.json").write_text(json.dumps(watch.times))


def core_plain(
    rank: int, port: int, folder: str, micro_s: float, steps: int, every: int
) -> None:
    """One rank of the plain loop."""
    torch.set_num_threads(1)
    parameter = Parameter(torch.zeros(TRAINED))
    learner, batches = TimedLearner(parameter, micro_s), TimedBatches(steps)
    _plain_loop(
        rank,
        port,
        Path(folder),
        [parameter],
        plans=[batches.step_plan("train", step) for step in range(steps)],
        compute=lambda plan, micro: learner.backward(batches.fetch("train", plan, micro)),
        every=every,
    )


def _plain_loop(  # noqa: PLR0913, PLR0917 - a whole loop
    rank: int,
    port: int,
    folder: Path,
    parameters: list[Parameter],
    plans: list[StepPlan],
    compute: Callable[[StepPlan, int], float],
    every: int,
) -> None:
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=WORLD)
    dist.barrier()
    times = []
    for number, plan in enumerate(plans, start=1):
        for micro in deal_step(plan.cost_K, world_size=WORLD)[rank]:
            compute(plan, micro)
        flat = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None])
        dist.all_reduce(flat)
        flat /= sum(micro.tokens for micro in plan.micros)
        for p, part in zip(
            parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True
        ):
            p.grad = part.reshape(p.shape)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if rank == 0 and number % every == 0:
            held = io.BytesIO()
            torch.save([parameters, optimizer.state_dict()], held)
            with (folder / "plain.pt").open("wb") as file:
                file.write(held.getvalue())
                os.fsync(file.fileno())
        times.append(time.monotonic())
    (folder / f"plain{rank}.json").write_text(json.dumps(times))
    dist.destroy_process_group()


def _per_step_s(folder: Path, name: str, skip: int) -> float:
    times = json.loads((folder / name).read_text())[skip:]
    return (times[-1] - times[0]) / (len(times) - 1)


def _run(target: Callable[..., None], *args: Any) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=(rank, *args)) for rank in range(WORLD)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(900)
        assert process.exitcode == 0, f"{target.__name__} ended with {process.exitcode}"


def measure_core(step_s: float, rounds: int) -> dict[str, Any]:
    """Ours and plain in turn."""
    micro_s = step_s * WORLD / MICROS
    steps = max(12, round(20 / step_s))
    # One a minute, or one in the whole measurement where that is shorter.
    every = max(2, min(steps - 2, round(60 / step_s)))
    ours, plain = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            port = free_port()
            beacon = multiprocessing.get_context("spawn").Process(target=shine, args=(port,))
            beacon.start()
            _run(core_ours, port, name, micro_s, steps, every)
            beacon.kill()
            beacon.join()
            ours.append(_per_step_s(Path(name), "ours0.json", skip=3))
            _run(core_plain, free_port(), name, micro_s, steps, every)
            plain.append(_per_step_s(Path(name), "plain0.json", skip=3))
    return _compared(f"core, {step_s:g} s", ours, plain)


# The whole: a real model, through Ray.


def ray_plain(  # noqa: PLR0913, PLR0917 - started as a process
    rank: int, port: int, folder: str, job_json: str, course: Course, steps: int, every: int
) -> None:
    """One rank of the plain loop over the job's own micro-batches, rendered beforehand."""
    job = Job.model_validate_json(job_json)
    learner = VisionLanguageLearner.load(job, torch.device("cpu"))
    tensors = dict(sorted(trained_tensors(learner.model).items()))
    index, plan = course.open()
    plans = [plan.step(step) for step in range(steps)]
    batches = {
        (each.step, micro): MicroBatch.from_table(
            render_table(
                Wanted.of(
                    each.address(micro), index.rows(list(each.micros[micro].samples))
                ).request,
                course.spec,
            )
        )
        for each in plans
        for micro in deal_step(each.cost_K, world_size=WORLD)[rank]
    }
    _plain_loop(
        rank,
        port,
        Path(folder),
        list(tensors.values()),
        plans,
        compute=lambda each, micro: learner.backward(batches[each.step, micro]),
        every=every,
    )


def measure_ray(samples: int, rounds: int, steps: int) -> dict[str, Any]:
    """Whole trainings and plain loops in turn, with steps of so many samples."""
    ours, plain = [], []
    every = 25
    with tempfile.TemporaryDirectory() as name, start_cluster(WORLD, cpus=2) as cluster:
        base = made_job(
            Path(name),
            "overhead",
            num_rows=samples,
            train={
                "epochs": steps,
                "global_batch": samples,
                "micro_tokens": 1024,
                "checkpoint_every_steps": every,
            },
            scale={"workers": [WORLD, WORLD], "gpu": False},
        )
        base = base.model_copy(update={"data": base.data.model_copy(update={"eval": None})})
        with open_session(cluster.address, cpus=1):
            for number in range(rounds):
                job = base.model_copy(update={"name": f"overhead{number}"})
                prepared = prepare(job)
                seen: list[float] = []
                train(prepared, lambda events, seen=seen: _note(events, seen))
                ours.append((seen[-1] - seen[4]) / (len(seen) - 5))
                course = prepared.courses["train"]
                told = job.model_dump_json()
                _run(ray_plain, free_port(), name, told, course, steps, every)
                plain.append(_per_step_s(Path(name), "plain0.json", skip=4))
    return _compared(f"ray, {samples} samples", ours, plain)


def _note(events: list[dict[str, Any]], seen: list[float]) -> None:
    seen += [float(event["wall_s"]) for event in events if event["kind"] == "step"]


def _compared(what: str, ours: list[float], plain: list[float]) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(ours, plain, strict=True)]
    found = {
        "what": what,
        "ours_s": statistics.median(ours),
        "plain_s": statistics.median(plain),
        "lost": 1 - 1 / statistics.median(ratios),
        "each": [round(1 - 1 / ratio, 4) for ratio in ratios],
    }
    print(
        f"{what:22} ours {found['ours_s']:.4f} s a step, plain {found['plain_s']:.4f} s, "
        f"throughput lost {found['lost']:.1%} (rounds: {found['each']})",
        flush=True,
    )
    return found


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=["core", "ray", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found = []
    if asked.part != "ray":
        found += [measure_core(step_s, asked.rounds) for step_s in (0.5, 2.0)]
    if asked.part != "core":
        found += [
            measure_ray(samples, asked.rounds, steps)
            for samples, steps in ((96, 40), (384, 16))
        ]
    out = Path(".bench")
    out.mkdir(exist_ok=True)
    (out / "overhead.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
