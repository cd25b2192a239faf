"""What a replica is: trained tensors, optimizer moments, and a handful of integers.

All of it travels as safetensors: to a newcomer, into a checkpoint, and back, to the bit.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import Parameter

from orchestrator.errors import StorageError
from orchestrator.train.exact import Grid

_MULTIPLIER = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_MASK48 = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class EvalSums:
    """What an evaluation has added up so far; integers, so any order gives the same."""

    loss_units: int = 0
    label_tokens: int = 0
    samples: int = 0
    correct: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands. Two replicas with the same progress do the same next."""

    step: int
    """Optimizer steps done, and so the number of the next one."""
    round: int
    """Agreements reached: one a step, one a step found to need a coarser grid, one a piece
    of an evaluation."""
    grid: Grid
    eval_step: int = 0
    """Pieces done of the evaluation under way."""
    eval_sums: EvalSums = EvalSums()
    evaluated_at: int = -1
    """The step after which the last whole evaluation was made."""

    @classmethod
    def start(cls, num_tensors: int) -> "Progress":
        """Before the first step."""
        return cls(step=0, round=0, grid=Grid.unknown(num_tensors))

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def decode(cls, text: str) -> "Progress":
        """From JSON."""
        fields = json.loads(text)
        return cls(
            **{
                **fields,
                "grid": Grid(tuple(fields["grid"]["exponents_T"])),
                "eval_sums": EvalSums(**fields["eval_sums"]),
            }
        )


class Replica:
    """One worker's copy of the trained state. Replicas that are in step are bit-equal.

    Attributes:
        tensors: The trained tensors, in name order.
        progress: Where the training stands.
        loads: How often the state was replaced as a whole.
    """

    def __init__(self, tensors: dict[str, Parameter], *, weight_decay: float) -> None:
        self.tensors = dict(sorted(tensors.items()))
        self.progress = Progress.start(len(self.tensors))
        self.loads = 0
        # One tensor after the other: the fused and grouped variants add in other orders.
        self._optimizer = torch.optim.AdamW(
            self.tensors.values(), lr=0.0, weight_decay=weight_decay, foreach=False, fused=False
        )
        for parameter in self.tensors.values():
            self._set_moments(
                parameter, torch.zeros_like(parameter), torch.zeros_like(parameter)
            )

    def _set_moments(self, parameter: Parameter, first: Tensor, second: Tensor) -> None:
        self._optimizer.state[parameter] = {
            "step": torch.tensor(float(self.progress.step)),
            "exp_avg": first,
            "exp_avg_sq": second,
        }

    def apply(self, gradients_T: list[Tensor], *, learning_rate: float, grid: Grid) -> None:
        """Take one optimizer step with the mean gradient of the whole step."""
        for parameter, gradient in zip(self.tensors.values(), gradients_T, strict=True):
            parameter.grad = gradient.to(device=parameter.device, dtype=parameter.dtype)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        step, rounds = self.progress.step + 1, self.progress.round + 1
        self.progress = replace(self.progress, step=step, round=rounds, grid=grid)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.tensors.items():
            moments = self._optimizer.state[parameter]
            yield f"weights/{name}", parameter.detach()
            yield f"exp_avg/{name}", moments["exp_avg"]
            yield f"exp_avg_sq/{name}", moments["exp_avg_sq"]

    def fingerprint(self) -> int:
        """The whole state in 48 bits, cheap enough for every round; no proof against malice."""
        total = int.from_bytes(hashlib.sha256(self.progress.encode().encode()).digest()[:6])
        for number, (_, tensor) in enumerate(self._named()):
            bits = tensor.contiguous().view(torch.int32).reshape(-1).to(torch.int64)
            places = torch.arange(1, bits.numel() + 1, device=bits.device, dtype=torch.int64)
            # Wrapping products of odd numbers: moving or flipping any bit moves the sum.
            mixed = (bits + 1) * ((places + number) * _MULTIPLIER | 1)
            total += int((mixed ^ (mixed >> 29)).sum())
        return total & _MASK48

    def weights_sha256(self) -> str:
        """SHA-256 of the trained tensors in name order, as raw little-endian bytes."""
        digest = hashlib.sha256()
        for parameter in self.tensors.values():
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """The whole state as one safetensors file."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self._named()}
        return save(tensors, metadata={"progress": self.progress.encode()})

    def load_bytes(self, data: bytes) -> None:
        """Become the replica that wrote ``data``.

        Raises:
            StorageError: The data is of another model or adapter.
        """
        progress, tensors = read_state(data)
        wanted = {name: tensor.shape for name, tensor in self._named()}
        if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
            raise StorageError(
                "the saved state holds other tensors than this job trains",
                "train.state",
                "Use the model and lora section that the run began with, or a new name",
            )
        self.progress = progress
        self.loads += 1
        for name, parameter in self.tensors.items():
            with torch.no_grad():
                parameter.copy_(tensors[f"weights/{name}"])
            first, second = tensors[f"exp_avg/{name}"], tensors[f"exp_avg_sq/{name}"]
            self._set_moments(
                parameter, first.to(parameter.device), second.to(parameter.device)
            )


def read_state(data: bytes) -> tuple[Progress, dict[str, Tensor]]:
    """Take a saved state apart: progress, and tensors by their full name."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return Progress.decode(header["__metadata__"]["progress"]), load(data)
