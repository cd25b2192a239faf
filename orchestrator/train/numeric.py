"""What decides the bits of a floating-point result on a machine."""

import hashlib
import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import torch

# The instructions that kernels are chosen by: x86 up to AVX-512 and AMX, and ARM's.
_KERNEL_FLAGS: Final = re.compile(
    r"(avx|amx|fma|f16c|asimd|sve|sme_|bf16|i8mm|fphp).*|sme", re.ASCII
)

_LIBRARY_SETTINGS: Final = (
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Variables by which others choose among kernels."""


def numeric_class(device: torch.device) -> dict[str, str]:
    """What decides the bits of a floating-point result on this machine, in words.

    Two machines with equal answers run the same kernels in the same order. Call it in the
    process that trains, once its thread count is set.
    """
    cpu, flags = _cpu(_cpuinfo())
    return {
        "device": _device_model(device),
        "cpu": cpu,
        "instructions": " ".join(flags),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "attention": " ".join(_attention_kernels()),
        "products": _products(),
        # libm computes the learning rate's cosine.
        "os": " ".join([platform.system(), platform.machine(), *platform.libc_ver()]),
        "torch": f"{torch.__version__}, build {_short_hash(torch.__config__.show())}",
        **{name: version(name) for name in ("transformers", "peft", "numpy")},
    }


def _device_model(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    major, minor = torch.cuda.get_device_capability(device)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # as torch has it
    return (
        f"{torch.cuda.get_device_name(device)} (sm_{major}{minor}, CUDA {torch.version.cuda}, "
        f"cuDNN {cudnn}, cuBLAS {_cublas()})"
    )


def _cublas() -> str:
    """Version of cuBLAS, where a package of its own brings it; else it is CUDA's."""
    for package in (
        "nvidia-cublas",
        f"nvidia-cublas-cu{(torch.version.cuda or '').split('.')[0]}",
    ):
        with suppress(PackageNotFoundError):
            return version(package)
    return "CUDA's own"


def _attention_kernels() -> list[str]:
    """The kinds of attention kernel that torch may choose from."""
    kinds = ("flash", "mem_efficient", "cudnn", "math")
    return [kind for kind in kinds if getattr(torch.backends.cuda, f"{kind}_sdp_enabled")()]


def _products() -> str:
    """How matrix products round, and what the environment tells the libraries about them."""
    told = [f"{name}={os.environ[name]}" for name in _LIBRARY_SETTINGS if name in os.environ]
    library = str(torch.backends.cuda.preferred_blas_library()).rpartition(".")[2]
    return " ".join([torch.get_float32_matmul_precision(), library, *told])


def _short_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _cpu(cpuinfo: str) -> tuple[str, list[str]]:
    """Model and sorted instructions that kernels use, of the first processor listed."""
    first = cpuinfo.strip().partition("\n\n")[0]
    fields = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in first.splitlines())
    }
    # Clouds give many processors one name; the caches decide how kernels cut their sums.
    keys = ("model name", "cpu family", "model", "CPU implementer", "CPU part", "cache size")
    named = [
        fields[key] if "name" in key else f"{key} {fields[key]}"
        for key in keys
        if key in fields
    ]
    flags = fields.get("flags", fields.get("Features", "")).split()
    return ", ".join(named) or platform.processor(), sorted(
        flag for flag in flags if _KERNEL_FLAGS.fullmatch(flag)
    )
