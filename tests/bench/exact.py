"""What order-free sums cost, against adding float32, at 10 M to 1 B trained numbers.

    .venv/bin/python -m tests.bench.exact

Each size and each way is a process of its own. Seconds are CPU time on one thread, medians of
some tries: neighbours on the machine spoil them least, while several threads would burn time
waiting for each other. Only reductions are timed by the clock. Memory is the peak beyond
weights and gradients while micro-batches are added, and beyond weights and moments from then
on. The plain way adds float32 gradients, divides once, clips by torch's own function and steps
torch's own AdamW.

A billion numbers fit 24 GiB as gradients are let go before moments are made; where the machine
has less to give, the step ends before AdamW in both ways, and the table says so. There is no
room to write the state at that size, nor for two processes to reduce it.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, distributed
from torch.nn import Parameter

from orchestrator.train.exact import Count, GradientSum, Grid, clip
from orchestrator.train.fingerprint import cut, fingerprint
from orchestrator.train.state import Replica

TENSOR = (2500, 4000)
"""A trained tensor: 10 M numbers."""
TRIES = {1: 9, 10: 5, 100: 3}
"""Tensors, and how often each thing is done with as many."""
REDUCTIONS = 7
MICROS = 8
"""Micro-batches of a rank in the step that is put together from its parts."""
MAX_NORM = 1.0
COUNTS = {Count.LABEL_TOKENS: 1000}
LEFT_GIB = 2.0
"""Memory that is left to the rest of the machine."""
PATIENCE_S = 1800
Figures = dict[str, float]
ROWS = {
    "take": "take, a micro-batch, s",
    "payload": "payload, s",
    "step": "mean, clip and step, s",
    "fingerprint": "fingerprint, s",
    "whole": "a whole step, s",
    "to_bytes": "state to bytes, s",
    "take_gib": "peak while adding, GiB",
    "step_gib": "peak from then on, GiB",
}


def make_tensors(num_tensors: int) -> dict[str, Parameter]:
    """Weights, each touched, so that they are in memory before anything is measured."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(TENSOR, generator=generator)
    return {f"t{n:04}": Parameter(first * 0.01) for n in range(num_tensors)}


def make_gradients(num_tensors: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(TENSOR, generator=generator)
    return [first * (1e-3 / (1 + n % 7)) for n in range(num_tensors)]


def timed(work: Callable[[], object], tries: int) -> float:
    """Median CPU seconds; what ``work`` gives is let go in between."""
    times_s = []
    for _ in range(tries):
        started_s = time.process_time()
        work()
        times_s.append(time.process_time() - started_s)
    return statistics.median(times_s)


def memory_gib(field: str) -> float:
    """``VmRSS``, what this process holds, or ``VmHWM``, the most since ``forget_peak``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / (1 << 20)


def available_gib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if "MemAvailable" in line) / (1 << 20)


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def gib(tensors: Iterable[Tensor]) -> float:
    return sum(tensor.nbytes for tensor in tensors) / (1 << 30)


def measure_plain(tensors: dict[str, Parameter], tries: int, *, moments: bool) -> Figures:
    """Float32 sums and torch's own step."""
    gradients = make_gradients(len(tensors))
    known_gib = memory_gib("VmRSS")
    forget_peak()
    buffers = [torch.zeros_like(gradient) for gradient in gradients]

    def take() -> None:
        for buffer, gradient in zip(buffers, gradients, strict=True):
            buffer.add_(gradient)

    take()
    found = {"take": timed(take, tries), "take_gib": memory_gib("VmHWM") - known_gib}
    known_gib -= gib(gradients) - (2 * gib(tensors.values()) if moments else 0)
    gradients.clear()
    forget_peak()
    optimizer = torch.optim.AdamW(tensors.values(), lr=1e-4, foreach=False, fused=False)

    def step() -> None:
        for parameter, buffer in zip(tensors.values(), buffers, strict=True):
            parameter.grad = buffer.div_(1000)
        torch.nn.utils.clip_grad_norm_(tensors.values(), MAX_NORM)
        if moments:
            optimizer.step()

    step()
    return found | {"step": timed(step, tries), "step_gib": memory_gib("VmHWM") - known_gib}


def measure_exact(tensors: dict[str, Parameter], tries: int, *, moments: bool) -> Figures:
    """The order-free sum of some micro-batches, and what follows."""
    gradients = make_gradients(len(tensors))
    known_gib = memory_gib("VmRSS")
    forget_peak()
    seeking = GradientSum(tensors, Grid.unknown(len(tensors)), num_micros=1)
    seeking.take(gradients, 1.0, COUNTS)
    grid = seeking.reduced(seeking.payload(0)).next_grid
    del seeking
    total = GradientSum(tensors, grid, num_micros=tries + 1)

    def take() -> None:
        total.take(gradients, 1.0, COUNTS)

    take()
    found = {"take": timed(take, tries), "take_gib": memory_gib("VmHWM") - known_gib}
    known_gib -= gib(gradients)
    gradients.clear()
    replica = Replica(tensors, weight_decay=0.01) if moments else None
    known_gib += 2 * gib(tensors.values()) if moments else 0
    forget_peak()
    found |= measure_exact_step(total, tensors, replica, tries)
    return found | {"step_gib": memory_gib("VmHWM") - known_gib}


def measure_exact_step(
    total: GradientSum, tensors: dict[str, Parameter], replica: Replica | None, tries: int
) -> Figures:
    """From the share of one rank to the step; without a replica, to the mean gradients."""

    def hash_state() -> int:
        return replica.fingerprint() if replica else fingerprint(cut(tensors.values()), "")

    hash_state()
    found = {"fingerprint": timed(hash_state, tries)}
    started_s = time.process_time()
    payload = total.payload(0)
    found["payload"] = time.process_time() - started_s

    def step() -> None:
        reduced = total.reduced(payload)
        assert not reduced.counts[Count.OUT_OF_RANGE]
        mean = reduced.per_token()
        clip(mean, MAX_NORM)
        if replica:
            replica.apply(mean, learning_rate=1e-4, grid=reduced.next_grid)
        else:
            for number in range(len(mean)):
                mean.cast(number, torch.float32)

    step()
    found["step"] = timed(step, tries)
    if replica and len(tensors) <= 10:
        found["to_bytes"] = timed(replica.to_bytes, tries)
    return found


def measure_gloo(size: int, dtype: torch.dtype, meeting: str, rank: int) -> Figures:
    """Wall seconds of one reduction between two processes."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2
    )
    payload = torch.zeros(size, dtype=dtype)
    times_s = []
    for _ in range(REDUCTIONS + 1):
        distributed.barrier()
        started_s = time.perf_counter()
        distributed.all_reduce(payload)
        times_s.append(time.perf_counter() - started_s)
    distributed.destroy_process_group()
    return {"wall": statistics.median(times_s[1:])}


def start(*asked: str) -> subprocess.Popen[str]:
    """A process that prints figures."""
    command = [sys.executable, "-m", "tests.bench.exact", *asked]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def figures_of(process: subprocess.Popen[str]) -> Figures:
    answer, _ = process.communicate(timeout=PATIENCE_S)
    if process.returncode != 0:
        sys.exit(f"{process.args} ended with {process.returncode}")
    found: Figures = json.loads(answer)
    return found


def report_sums(num_tensors: int) -> None:
    """Print the table of one size."""
    numbers_gib = gib([torch.empty(TENSOR, device="meta")]) * num_tensors
    room_gib = available_gib()
    # Weights, moments and the payload, or weights, gradients and the payload; and Python.
    needs_gib, least_gib = 5.1 * numbers_gib + LEFT_GIB, 4.1 * numbers_gib + LEFT_GIB
    moments, fits = room_gib > needs_gib, room_gib > least_gib
    if not fits:
        print(
            f"\n{num_tensors * 10} M numbers: left out, as {room_gib:.1f} GiB are free and "
            f"{least_gib:.1f} are wanted"
        )
        return
    asked = ("--tensors", str(num_tensors), *(("--moments",) if moments else ()))
    plain, exact = (figures_of(start("--measure", way, *asked)) for way in ("plain", "exact"))
    plain["whole"] = MICROS * plain["take"] + plain["step"]
    others_s = exact["payload"] + exact["step"] + exact["fingerprint"]
    exact["whole"] = MICROS * exact["take"] + others_s
    print(f"\n{num_tensors * 10} M numbers{'plain':>32}{'exact':>12}{'ratio':>9}")
    if not moments:
        print(f"without moments and AdamW, for {room_gib:.1f} GiB were free")
    for name, words in ROWS.items():
        cells = [
            f"{way[name]:12.3f}" if name in way else f"{'-':>12}" for way in (plain, exact)
        ]
        both = name in plain and name in exact
        ratio = f"{exact[name] / plain[name]:9.2f}" if both else f"{'-':>9}"
        print(f"{words:<34}{''.join(cells)}{ratio}", flush=True)


def report_gloo(num_tensors: int) -> None:
    """Print how long two processes take to reduce one size in both formats."""
    walls_s = {}
    for dtype in ("float32", "int64"):
        with tempfile.TemporaryDirectory() as folder:
            asked = ("--measure", dtype, "--tensors", str(num_tensors))
            meeting = ("--meeting", f"{folder}/meeting")
            both = [start(*asked, *meeting, "--rank", str(rank)) for rank in range(2)]
            walls_s[dtype] = max(figures_of(process)["wall"] for process in both)
    print(
        f"{num_tensors * 10:>5} M over two processes: float32 {walls_s['float32']:.3f} s, "
        f"int64 {walls_s['int64']:.3f} s, {walls_s['int64'] / walls_s['float32']:.2f} times",
        flush=True,
    )


def measure(asked: argparse.Namespace) -> Figures:
    torch.set_num_threads(1)
    match asked.measure:
        case "plain" | "exact":
            way = measure_plain if asked.measure == "plain" else measure_exact
            tensors, tries = make_tensors(asked.tensors), TRIES[asked.tensors]
            return way(tensors, tries, moments=asked.moments)
        case dtype:
            size = asked.tensors * math.prod(TENSOR)
            return measure_gloo(size, getattr(torch, dtype), asked.meeting, asked.rank)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(TRIES), help="in 10 M")
    for hidden in ("--measure", "--meeting"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    for hidden in ("--tensors", "--rank"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--moments", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked)))
        return
    print(f"CPU seconds on one thread; a whole step has {MICROS} micro-batches")
    for num_tensors in asked.sizes:
        report_sums(num_tensors)
    print()
    for num_tensors in asked.sizes:
        if num_tensors <= 10:
            report_gloo(num_tensors)


if __name__ == "__main__":
    main()
