"""Where and how exactly a worker computes."""

import os
import resource
import struct
from typing import Literal

import torch

from orchestrator.errors import ConfigError
from orchestrator.plan.seeds import hash_to_seed

Gpu = Literal["auto", True, False]
DtypeName = Literal["auto", "float32", "bfloat16"]


def pick_device(gpu: Gpu) -> torch.device:
    """The device of this worker: the first GPU it can see, or the CPU.

    Args:
        gpu: True insists on a GPU, False does without, "auto" takes one where there is one.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    found = gpu is not False and torch.cuda.is_available()
    if gpu is True and not found:
        raise ConfigError(
            "a GPU is asked for and this machine shows none",
            "scale.gpu",
            "Set scale.gpu to auto, or start the worker where nvidia-smi lists a GPU",
        )
    return torch.device("cuda:0" if found else "cpu")


def resolve_dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    """Number format of the frozen weights: "auto" is bfloat16 on a GPU, float32 on a CPU."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def peak_memory_mb() -> float:
    """The most memory that this process ever had in use: of its GPU, else of the host."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.max_memory_allocated() / 1e6
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def make_deterministic(threads: int) -> None:
    """Make this process compute the same bits again from the same bits.

    What it cannot set right, ``determinism.nondeterminism`` finds.

    Call before the first tensor reaches a GPU: cuBLAS reads its workspace setting once.

    Args:
        threads: CPU threads of one operation. Sums are split by it, so it is part of what a
            run may not change.
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    # Tensors that we read are written first; filling them would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    # Products of 16-bit numbers are added in float32 throughout: parts rounded in between would
    # make the sum depend on how many parts there are.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_accumulation = False
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(enabled=False)
    # Its backward pass promises no order of summation.
    torch.backends.cuda.enable_cudnn_sdp(enabled=False)


def seed_micro_batch(
    seed: int, epoch: int, step: int, micro: int, *, fraction: int = 1
) -> None:
    """Seed torch, on the CPU and every GPU, for one micro-batch, or a fraction of one.

    Dropout then depends on the address of the micro-batch and not on which rank computes it,
    what that rank computed before, or how often it is computed again.
    """
    content = struct.pack("<4q", seed, epoch, step, micro)
    if fraction != 1:
        content += struct.pack("<q", fraction)
    torch.manual_seed(hash_to_seed(content))
