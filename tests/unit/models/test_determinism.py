"""What a machine cannot compute twice alike, and how it is said."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from orchestrator.errors import JobError
from orchestrator.models.determinism import PROBES, naming_nondeterminism, nondeterminism

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


def refused_operation(device: torch.device) -> torch.Tensor:
    """One that torch has no deterministic kernel for, on any device."""
    places = torch.tensor([0, 0], device=device)
    return torch.zeros(4, device=device).put_(places, torch.ones(2, device=device))


class RefusedBackwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, numbers: torch.Tensor) -> torch.Tensor:  # noqa: ARG004 - torch's own
        return numbers.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ARG004 - torch's own
        return refused_operation(gradient.device)


def test_on_a_cpu_all_that_models_are_made_of_is_deterministic() -> None:
    assert nondeterminism(CPU) == ()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_whatever_is_not_is_said_by_name() -> None:
    for line in nondeterminism(torch.device("cuda")):
        name, _, what = line.partition(": ")
        assert name in {*PROBES, "matrix products"}
        assert what


def test_an_operation_that_differs_from_call_to_call_is_found() -> None:
    def unsteady(device: torch.device) -> torch.Tensor:
        return torch.rand(8, device=device)

    found = nondeterminism(CPU, {"good": PROBES["embedding"], "bad": unsteady})
    assert found == ("bad: other bits from the same numbers",)


def test_an_operation_without_a_deterministic_kernel_is_found() -> None:
    (line,) = nondeterminism(CPU, {"put": refused_operation})
    assert line == "put: no deterministic kernel, and a training that meets it stops"


def test_a_kind_of_attention_that_a_device_lacks_is_not_held_against_it() -> None:
    def absent(device: torch.device) -> torch.Tensor:
        raise RuntimeError(f"No available kernel on {device}. Aborting execution.")

    assert nondeterminism(CPU, {"absent": absent}) == ()


def test_a_probe_that_fails_otherwise_is_not_swallowed() -> None:
    def broken(device: torch.device) -> torch.Tensor:
        return torch.zeros(3, device=device) @ torch.zeros(4, device=device)

    with pytest.raises(RuntimeError, match="size"):
        nondeterminism(CPU, {"broken": broken})


def test_what_torch_refuses_in_a_backward_pass_is_named_with_a_remedy() -> None:
    numbers = torch.zeros(4, requires_grad=True)
    with (
        pytest.raises(JobError, match="put_ gives other bits") as caught,
        naming_nondeterminism(),
    ):
        RefusedBackwards.apply(numbers).sum().backward()
    assert "scale.gpu" in caught.value.fix
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_cublas_without_its_workspace_is_named_too() -> None:
    # Its first half names settings; no machine without a GPU can provoke it.
    words = (
        "this operation is not deterministic because it uses CuBLAS and you have CUDA >= 10.2"
    )
    with pytest.raises(JobError, match="a matrix product by cuBLAS"), naming_nondeterminism():
        raise RuntimeError(words)


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), naming_nondeterminism():
        raise RuntimeError("out of memory")
