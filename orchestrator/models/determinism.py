"""What a machine cannot compute twice alike, found by trying, and said in words.

Torch refuses operations that have no deterministic kernel, but only where one is reached, and
takes the word of libraries for the others. So each kind of operation that the models are made
of is tried before training, forward and backward, and its bits are compared.

Letters: A heads, P positions, D width, N numbers.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from orchestrator.errors import JobError

Probe = Callable[[torch.device], Tensor]

CUBLAS_WORKSPACES = (":4096:8", ":16:8")
"""What CUBLAS_WORKSPACE_CONFIG may be. Source: cuBLAS, "Results Reproducibility"."""
_TRIES = 4
# The order of additions shows once many threads add to few places.
_MANY, _FEW, _WIDTH = 4096, 8, 64
_NO_KERNEL = re.compile(r"(\S+) does not have a deterministic implementation")
_ABSENT = ("No available kernel", "No viable backend")
_NO_WORKSPACE = "not deterministic because it uses CuBLAS"


def nondeterminism(
    device: torch.device, probes: Mapping[str, Probe] | None = None
) -> tuple[str, ...]:
    """Say what on this device does not give the same bits again; nothing, where all is well.

    Call it once ``make_deterministic`` has set what can be set. Takes a moment: each operation
    is run a few times on small tensors.

    Args:
        device: Where the model computes.
        probes: Operations by name, each from a device to what it computes there, from the
            same numbers at every call. By default those that the models use.

    Returns:
        One line in plain words for each operation or setting.
    """
    tried = (PROBES if probes is None else probes).items()
    found = [problem for name, probe in tried if (problem := _try(name, probe, device))]
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG", "")
    if device.type == "cuda" and workspace not in CUBLAS_WORKSPACES:
        found.append(f"matrix products: CUBLAS_WORKSPACE_CONFIG is {workspace!r}")
    return tuple(found)


@contextmanager
def naming_nondeterminism() -> Iterator[None]:
    """Turn torch's refusal of an operation inside into an error that says what to do.

    Raises:
        JobError: An operation has no deterministic kernel on its device.
    """
    try:
        yield
    except RuntimeError as error:
        operation = _refused(error)
        if operation is None:
            raise
        raise JobError(
            f"{operation} gives other bits each time on this device: it has no deterministic "
            "kernel",
            "model",
            "Set scale.gpu to false, or choose a model that does without it",
        ) from error


def _refused(error: RuntimeError) -> str | None:
    """The operation that torch refused; None if the error is another."""
    if match := _NO_KERNEL.search(str(error)):
        return match.group(1)
    return "a matrix product by cuBLAS" if _NO_WORKSPACE in str(error) else None


def _try(name: str, probe: Probe, device: torch.device) -> str | None:
    try:
        first, *others = [probe(device) for _ in range(_TRIES)]
    except RuntimeError as error:
        # An attention that this device does not have will not be used either.
        if any(words in str(error) for words in _ABSENT):
            return None
        if _refused(error) is None:
            raise
        return f"{name}: no deterministic kernel, and a training that meets it stops"
    if all(torch.equal(first, other) for other in others):
        return None
    return f"{name}: other bits from the same numbers"


def _drawn(device: torch.device, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers to take a gradient of, always the same.

    Of many magnitudes, so that the order in which they are added shows.
    """
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(shape, generator=generator).exp()
    return numbers.to(device, dtype).requires_grad_()


def _gradients(result: Tensor, *inputs: Tensor) -> Tensor:
    """The result and its inputs' gradients in one row."""
    found = torch.autograd.grad(result.square().sum(), inputs)
    return torch.cat([each.detach().reshape(-1) for each in (result, *found)])


def _places(device: torch.device) -> Tensor:
    return torch.arange(_MANY, device=device) % _FEW


def _embedding(device: torch.device) -> Tensor:
    table = _drawn(device, _FEW, _WIDTH)
    return _gradients(functional.embedding(_places(device), table), table)


def _index_add(device: torch.device) -> Tensor:
    values = _drawn(device, _MANY, _WIDTH)
    sums = torch.zeros(_FEW, _WIDTH, device=device).index_add(0, _places(device), values)
    return _gradients(sums, values)


def _scatter(device: torch.device) -> Tensor:
    values = _drawn(device, _MANY, _WIDTH)
    places = _places(device)[:, None].expand(-1, _WIDTH)
    sums = torch.zeros(_FEW, _WIDTH, device=device).scatter_add(0, places, values)
    return _gradients(sums, values)


def _gather(device: torch.device) -> Tensor:
    table = _drawn(device, _FEW, _WIDTH)
    return _gradients(table[_places(device)], table)


def _masked(device: torch.device) -> Tensor:
    row, images = _drawn(device, _MANY, _WIDTH), _drawn(device, _MANY // 2, _WIDTH)
    mask = (torch.arange(_MANY, device=device) % 2 == 0)[:, None].expand(-1, _WIDTH)
    return _gradients(row.masked_scatter(mask, images), row, images)


def _cumsum(device: torch.device) -> Tensor:
    return _places(device).cumsum(0).double()


def _conv3d(device: torch.device) -> Tensor:
    frames, kernel = _drawn(device, _MANY // 8, 3, 2, 14, 14), _drawn(device, 16, 3, 2, 14, 14)
    return _gradients(functional.conv3d(frames, kernel, stride=(2, 14, 14)), frames, kernel)


def _product(device: torch.device, dtype: torch.dtype) -> Tensor:
    rows = _drawn(device, _MANY // 8, _WIDTH, dtype=dtype)
    weights = _drawn(device, _WIDTH, _WIDTH, dtype=dtype)
    return _gradients(functional.linear(rows, weights), rows, weights)


def _norm(device: torch.device) -> Tensor:
    rows, gain = _drawn(device, _MANY, _WIDTH), _drawn(device, _WIDTH)
    return _gradients(functional.layer_norm(rows, (_WIDTH,), gain), rows, gain)


def _cross_entropy(device: torch.device) -> Tensor:
    logits = _drawn(device, _MANY, _FEW)
    loss = functional.cross_entropy(logits, _places(device), reduction="sum")
    return _gradients(loss, logits)


def _attention(device: torch.device, backend: SDPBackend) -> Tensor:
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    query, key, value = (
        _drawn(device, 1, 2, 4 * _WIDTH, _WIDTH, dtype=dtype) for _ in range(3)
    )
    with warnings.catch_warnings(), sdpa_kernel(backend):
        # Torch explains why a device does not have one.
        warnings.simplefilter("ignore", UserWarning)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return _gradients(attended, query, key, value)


PROBES: dict[str, Probe] = {
    "embedding": _embedding,
    "index_add": _index_add,
    "scatter_add": _scatter,
    "indexing": _gather,
    "masked_scatter": _masked,
    "cumsum": _cumsum,
    "conv3d": _conv3d,
    "layer norm": _norm,
    "cross-entropy": _cross_entropy,
    "matrix product in float32": partial(_product, dtype=torch.float32),
    "matrix product in bfloat16": partial(_product, dtype=torch.bfloat16),
    "attention, flash": partial(_attention, backend=SDPBackend.FLASH_ATTENTION),
    "attention, memory-efficient": partial(_attention, backend=SDPBackend.EFFICIENT_ATTENTION),
    "attention, plain": partial(_attention, backend=SDPBackend.MATH),
}
"""What the models are made of, by a name for people."""
