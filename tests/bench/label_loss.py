"""What the head of a large vocabulary takes: all label tokens at once, in chunks, and torch's.

    .venv/bin/python -m tests.bench.label_loss

Loss and gradient of 1024 label tokens, 256 wide, over 152,064 words; each way and format is a
process of its own, on one thread. Memory is the peak beyond inputs and weights.
"""

import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import cross_entropy, linear, linear_cross_entropy

from orchestrator.models.label_loss import label_loss
from tests.bench.exact import forget_peak, memory_gib

T, D, V = 1024, 256, 152_064
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def at_once(inputs_TD: Tensor, head_VD: Tensor, targets_T: Tensor) -> Tensor:
    return cross_entropy(linear(inputs_TD, head_VD).float(), targets_T, reduction="sum")


def torchs(inputs_TD: Tensor, head_VD: Tensor, targets_T: Tensor) -> Tensor:
    options = LinearCrossEntropyOptions()
    return linear_cross_entropy(inputs_TD, head_VD, targets_T, reduction="sum", options=options)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "at once": at_once,
    "in chunks": label_loss,
    "torch's": torchs,
}


def measure(way: str, dtype: torch.dtype) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    inputs_TD = torch.randn(T, D, generator=generator).to(dtype).requires_grad_()
    head_VD = torch.empty(V, D, dtype=dtype).normal_(std=D**-0.5, generator=generator)
    targets_T = torch.randint(0, V, (T,), generator=generator)
    forget_peak()
    known_gib, started_s = memory_gib("VmRSS"), time.process_time()
    loss = WAYS[way](inputs_TD, head_VD, targets_T)
    loss.backward()
    spent_s = time.process_time() - started_s
    peak_gib = memory_gib("VmHWM") - known_gib
    print(f"{way:10} {dtype!s:16} {float(loss.detach()):10.2f} {spent_s:8.2f} {peak_gib:8.2f}")


def main() -> None:
    print(f"{'':10} {'':16} {'loss':>10} {'CPU s':>8} {'GiB':>8}", flush=True)
    for name in DTYPES:
        for way in WAYS:
            subprocess.run(
                [sys.executable, "-m", "tests.bench.label_loss", way, name], check=True
            )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], DTYPES[sys.argv[2]])
    else:
        main()
