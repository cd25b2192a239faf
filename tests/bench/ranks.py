"""What a step costs beyond computing it: agreement, exact sum, commit. Plain processes, no Ray.

    .venv/bin/python -m tests.bench.ranks
    .venv/bin/python -m tests.bench.ranks --trained 10_000_000 --profile

Two processes compute for a set time (they sleep, as where an accelerator computes) and then add
up: by our loop with the real quorum, and by a plain all-reduce of float32 with AdamW and a
checkpoint that is saved in the loop. Both in turns; the figures are medians over the rounds.
"""

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import socket
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist

from orchestrator.plan.deal import deal_step
from tests.bench.elastic import start_lighthouse, train_elastic
from tests.bench.synthetic import Batches, Rank, Spent, Synthetic

WORLD_SIZE = 2
WARM_STEPS = 5
"""Left out: the first step is done twice, to find its grid."""
PATIENCE_S = 120.0
"""For a round beyond what its steps take."""
PROFILED = ("orchestrator/train/", "orchestrator/cluster/", "torchft/")


def train_plain(rank: Rank, port: int, folder: Path) -> Spent:
    """Train one rank of the plain way to its end."""
    spent = Spent()
    store = dist.TCPStore("127.0.0.1", port, rank.world_size, is_master=rank.rank == 0)
    dist.init_process_group(
        "gloo",
        store=store,
        rank=rank.rank,
        world_size=rank.world_size,
        timeout=timedelta(seconds=PATIENCE_S),
    )
    learner, batches = Synthetic(rank), Batches(rank)
    optimizer = torch.optim.AdamW(learner.tensors.values(), lr=1e-3)
    for step in range(rank.steps):
        plan = batches.step_plan("train", step)
        for micro in deal_step(plan.cost_K, world_size=rank.world_size)[rank.rank]:
            spent.time("backward", learner.backward)(batches.fetch("train", plan, micro))
        spent.time("add", add)(learner, rank.micros)
        spent.time("apply", optimizer.step)()
        optimizer.zero_grad(set_to_none=True)
        if rank.rank == 0 and (step + 1) % rank.checkpoint_every_steps == 0:
            spent.time("save", save)(learner, optimizer, folder / "plain.pt")
        rank.step_done(step + 1)
    dist.destroy_process_group()
    return spent


def add(learner: Synthetic, label_tokens: int) -> None:
    """All gradients in one message."""
    parameters = list(learner.tensors.values())
    flat_E = torch.cat([parameter.grad for parameter in parameters])
    dist.all_reduce(flat_E)
    flat_E /= label_tokens
    parts = torch.split(flat_E, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)


def save(learner: Synthetic, optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Weights and moments, on the disk when it returns."""
    with path.open("wb") as file:
        torch.save([learner.tensors, optimizer.state_dict()], file)
        file.flush()
        os.fsync(file.fileno())


def live(way: str, rank: Rank, where: Any, folder: Path, answers: Any) -> None:
    """One process: train, and tell how it went."""
    torch.set_num_threads(1)
    train = train_elastic if way == "ours" else train_plain
    profile = cProfile.Profile() if (folder / "profile").exists() else None
    if profile:
        profile.enable()
    spent = train(rank, where, folder)
    if profile:
        profile.disable()
    cpu_s = time.process_time()
    told = dict(spent), rank.times_s, cpu_s, lines_of(profile, rank.steps) if profile else []
    answers.put((rank.rank, told))


def lines_of(profile: cProfile.Profile, steps: int) -> list[tuple[float, str]]:
    """Milliseconds a step by function of ours, what it calls included."""
    stats: Any = pstats.Stats(profile)
    found = [
        (1000 * figures[3] / steps, f"{Path(file).name}:{line} {name}")
        for (file, line, name), figures in stats.stats.items()
        if any(part in file for part in PROFILED)
    ]
    return sorted(found, reverse=True)[:24]


def run_round(way: str, told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """All processes of one way, once."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    server, where = start_lighthouse(WORLD_SIZE) if way == "ours" else (None, free_port())
    processes = [
        context.Process(
            target=live, args=(way, Rank(rank, WORLD_SIZE, **told), where, folder, answers)
        )
        for rank in range(WORLD_SIZE)
    ]
    for process in processes:
        process.start()
    try:
        patience_s = PATIENCE_S + 3 * told["steps"] * told["step_s"]
        found = dict(answers.get(timeout=patience_s) for _ in processes)
        for process in processes:
            process.join(PATIENCE_S)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()
        del server
    spent, times_s, cpu_s, lines = found[0]
    counted = len(times_s) - WARM_STEPS
    return {
        "step_ms": 1000 * (times_s[-1] - times_s[WARM_STEPS - 1]) / counted,
        "parts_ms": {name: 1000 * each / len(times_s) for name, each in spent.items()},
        "cpu_s": cpu_s,
        "profile": lines,
    }


def free_port() -> int:
    """A port of loopback that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compare(told: dict[str, Any], rounds: int, *, profile: bool) -> dict[str, Any]:
    """Both ways in turns."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if profile:
            (folder / "profile").touch()
        for _ in range(rounds):
            for way, each in found.items():
                each.append(run_round(way, told, folder))
    ours_ms, plain_ms = (
        statistics.median(each["step_ms"] for each in found[way]) for way in ("ours", "plain")
    )
    print(
        f"{told['trained']:>11,} trained numbers, {told['micros']} micro-batches, computing "
        f"{1000 * told['step_s']:.0f} ms: plain {plain_ms:.1f} ms a step, ours {ours_ms:.1f}: "
        f"{ours_ms - plain_ms:+.1f} ms, throughput {100 * (plain_ms / ours_ms - 1):+.1f} %"
    )
    for way, each in found.items():
        parts = each[-1]["parts_ms"]
        shown = ", ".join(f"{name} {parts[name]:.1f}" for name in sorted(parts))
        print(f"  {way}, ms a step by part: {shown}")
    for milliseconds, name in found["ours"][-1]["profile"]:
        print(f"    {milliseconds:8.2f}  {name}")
    return {**told, "ours_ms": ours_ms, "plain_ms": plain_ms, "rounds": found}


def main() -> None:
    """Measure, print, and write ``.bench/ranks.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--step-s", type=float, nargs="*", default=[0.5, 2.0])
    parser.add_argument("--seconds", type=float, default=25.0, help="of a round, about")
    parser.add_argument("--micros", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="which slows ours down a little")
    given = parser.parse_args()
    found = []
    for trained in given.trained:
        for step_s in given.step_s:
            steps = WARM_STEPS + max(8, round(given.seconds / step_s))
            told = {
                "trained": trained,
                "steps": steps,
                "micros": given.micros,
                "step_s": step_s,
                # One in the steps that are counted: more than one a minute.
                "checkpoint_every_steps": steps - 4,
            }
            found.append(compare(told, given.rounds, profile=given.profile))
    out = Path(__file__).parents[2] / ".bench"
    out.mkdir(exist_ok=True)
    (out / "ranks.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
