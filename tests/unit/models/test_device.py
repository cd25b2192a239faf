"""Devices, number formats and seeds."""

from collections.abc import Iterator

import pytest
import torch

from orchestrator.errors import ConfigError
from orchestrator.models.device import (
    make_deterministic,
    pick_device,
    resolve_dtype,
    seed_micro_batch,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def test_a_machine_without_a_gpu_computes_on_its_cpu_unless_one_is_asked_for() -> None:
    assert pick_device(gpu=False) == CPU
    if torch.cuda.is_available():
        assert pick_device(gpu=True) == pick_device(gpu="auto") == GPU
        return
    assert pick_device(gpu="auto") == CPU
    with pytest.raises(ConfigError, match="this machine shows none"):
        pick_device(gpu=True)


def test_auto_is_bfloat16_on_a_gpu_and_float32_on_a_cpu() -> None:
    assert resolve_dtype("auto", GPU) == resolve_dtype("bfloat16", CPU) == torch.bfloat16
    assert resolve_dtype("auto", CPU) == resolve_dtype("float32", GPU) == torch.float32


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=False)
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.enable_cudnn_sdp(enabled=True)
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True


@pytest.mark.usefixtures("restored")
def test_a_process_made_deterministic_refuses_what_is_not() -> None:
    make_deterministic(threads=2)
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    products = torch.backends.cuda.matmul
    assert not products.allow_bf16_reduced_precision_reduction
    assert not products.allow_fp16_reduced_precision_reduction
    assert not products.allow_fp16_accumulation
    assert not torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_every_address_has_random_numbers_of_its_own() -> None:
    addresses = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    drawn = []
    for address in addresses:
        seed_micro_batch(*address)
        drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == len(addresses)
    seed_micro_batch(0, 1, 0, 0)
    assert float(torch.rand(())) == drawn[2]


def test_each_half_of_a_micro_batch_draws_its_own_numbers() -> None:
    drawn = []
    for fraction in (1, 2, 3, 6):
        seed_micro_batch(0, 0, 0, 0, fraction=fraction)
        drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == len(drawn)
    seed_micro_batch(0, 0, 0, 0)
    assert float(torch.rand(())) == drawn[0]
