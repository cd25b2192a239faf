"""What order-free sums cost on a GPU, against adding float32 there.

    .venv/bin/python -m tests.bench.exact_gpu

The parts are those of ``tests.bench.exact``, timed by the clock with the GPU idle before and
after; medians. ``to the network`` is what leaves the GPU for the sum between workers, int64
here and float32 there, in pinned memory in both ways; ``step`` begins with the way back.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Parameter

from orchestrator.train.exact import GradientSum, Grid, clip
from orchestrator.train.state import Replica
from tests.bench.exact import COUNTS, MAX_NORM, MICROS, make_gradients, make_tensors

GPU = torch.device("cuda:0")
TRIES = 9
Parts = dict[str, Callable[[], object]]


def on_gpu(num_tensors: int) -> tuple[dict[str, Parameter], list[Tensor]]:
    """Weights and one micro-batch's gradients."""
    weights = {
        name: Parameter(tensor.to(GPU)) for name, tensor in make_tensors(num_tensors).items()
    }
    return weights, [tensor.to(GPU) for tensor in make_gradients(num_tensors)]


def plain_parts(num_tensors: int) -> Parts:
    """Float32 sums, and torch's own step in one kernel for many tensors."""
    weights, gradients = on_gpu(num_tensors)
    sums = [torch.zeros_like(gradient) for gradient in gradients]
    landed = [torch.empty(total.shape, pin_memory=True) for total in sums]
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-4, foreach=True)

    def send() -> None:
        for there, total in zip(landed, sums, strict=True):
            there.copy_(total)

    def step() -> None:
        for there, total in zip(landed, sums, strict=True):
            total.copy_(there)
        torch._foreach_div_(sums, 1000.0)
        for parameter, total in zip(weights.values(), sums, strict=True):
            parameter.grad = total
        torch.nn.utils.clip_grad_norm_(weights.values(), MAX_NORM, foreach=True)
        optimizer.step()

    return {
        "take": lambda: torch._foreach_add_(sums, gradients),
        "to the network": send,
        "step": step,
    }


def exact_parts(num_tensors: int) -> Parts:
    """The order-free sum, and what follows from it."""
    weights, gradients = on_gpu(num_tensors)
    seeking = GradientSum(weights, Grid.unknown(len(weights)), num_micros=1)
    seeking.take(gradients, 1.0, COUNTS)
    grid = seeking.reduced(seeking.payload(0)).next_grid
    del seeking
    total = GradientSum(weights, grid, num_micros=TRIES + 1)
    replica = Replica(weights, weight_decay=0.01)
    payloads: list[Tensor] = []

    def send() -> None:
        payloads[:] = [total.payload(0)]

    def step() -> None:
        reduced = total.reduced(payloads[0])
        mean = reduced.per_token()
        clip(mean, MAX_NORM)
        replica.apply(mean, learning_rate=1e-4, grid=reduced.next_grid)

    return {
        "take": lambda: total.take(gradients, 1.0, COUNTS),
        "to the network": send,
        "fingerprint": replica.fingerprint,
        "step": step,
    }


def seconds(work: Callable[[], object], tries: int) -> float:
    """The median of some tries, after one."""
    walls_s = []
    for _ in range(tries + 1):
        torch.cuda.synchronize()
        started_s = time.perf_counter()
        work()
        torch.cuda.synchronize()
        walls_s.append(time.perf_counter() - started_s)
    return statistics.median(walls_s[1:])


def measure(make: Callable[[int], Parts], num_tensors: int) -> dict[str, float]:
    """Milliseconds of each part, of a whole step, and the most memory in GiB."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    found = {
        name: 1000 * seconds(work, TRIES if name == "take" else 3)
        for name, work in make(num_tensors).items()
    }
    found["a whole step"] = MICROS * found["take"] + sum(
        value for name, value in found.items() if name != "take"
    )
    return found | {"GiB": torch.cuda.max_memory_allocated() / (1 << 30)}


def main() -> None:
    """A table a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10], help="in 10 M")
    for num_tensors in parser.parse_args().sizes:
        plain, exact = (measure(make, num_tensors) for make in (plain_parts, exact_parts))
        print(f"\n{num_tensors * 10} M numbers, ms{'plain':>22}{'exact':>12}")
        for name, value in exact.items():
            beside = f"{plain[name]:12.2f}" if name in plain else f"{'-':>12}"
            print(f"{name:<22}{'':12}{beside}{value:12.2f}", flush=True)


if __name__ == "__main__":
    main()
