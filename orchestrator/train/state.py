"""What a replica is: trained tensors, optimizer moments, and a handful of integers.

All of it travels as safetensors: to a newcomer, into a checkpoint, and back, to the bit.
"""

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from safetensors.torch import load
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

from orchestrator.errors import StorageError
from orchestrator.train.exact import Grid
from orchestrator.train.fingerprint import Pieces, cut, fingerprint
from orchestrator.train.mean import MeanGradients
from orchestrator.train.pieces import groups, piece_on

_FORMATS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
"""Number formats of trained tensors, as safetensors calls them."""


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
        self._changing = threading.Lock()
        self._weight_decay = weight_decay
        self._pieces: Pieces = []
        self._cut_where: list[int | None] = []
        self._moments = {
            name: (
                torch.zeros_like(parameter, dtype=_wide(parameter)),
                torch.zeros_like(parameter, dtype=_wide(parameter)),
            )
            for name, parameter in self.tensors.items()
        }

    def apply(
        self, gradients_T: MeanGradients | Sequence[Tensor], *, learning_rate: float, grid: Grid
    ) -> None:
        """Take one optimizer step with the mean gradient of the whole step.

        A group of tensors after the other, which lets their gradients go before the next ones
        are made. Which tensors are a group is part of the arithmetic.
        """
        assert len(gradients_T) == len(self.tensors), "a gradient each"
        with self._changing:
            trained = list(self.tensors.values())
            sizes = [parameter.numel() for parameter in trained]
            for group in groups(sizes, piece_on(trained[0].device)):
                self._step(group, gradients_T, learning_rate)
            step, rounds = self.progress.step + 1, self.progress.round + 1
            self.progress = replace(self.progress, step=step, round=rounds, grid=grid)

    def _step(
        self,
        group: slice,
        gradients_T: MeanGradients | Sequence[Tensor],
        learning_rate: float,
    ) -> None:
        """AdamW with torch's defaults, by the function behind the class, for some tensors."""
        names = list(self.tensors)[group]
        parameters = [self.tensors[name] for name in names]
        gradients = [
            _cast(gradients_T, number, _wide(parameter)).to(parameter.device)
            for number, parameter in enumerate(parameters, start=group.start)
        ]
        moments = [self._moments[name] for name in names]
        with torch.no_grad():
            weights = [parameter.to(_wide(parameter)) for parameter in parameters]
            adamw(
                weights,
                gradients,
                [first for first, _ in moments],
                [second for _, second in moments],
                [],
                [torch.tensor(float(self.progress.step)) for _ in names],
                # Not fused: that one has other bits on every kind of device.
                foreach=len(names) > 1,
                fused=False,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=learning_rate,
                weight_decay=self._weight_decay,
                eps=1e-8,
                maximize=False,
            )
            for parameter, weight in zip(parameters, weights, strict=True):
                parameter.grad = None
                if weight.dtype != parameter.dtype:
                    parameter.copy_(weight)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.tensors.items():
            yield f"weights/{name}", parameter.detach()
            yield f"exp_avg/{name}", self._moments[name][0]
            yield f"exp_avg_sq/{name}", self._moments[name][1]

    def fingerprint(self) -> int:
        """The whole state in 48 bits, cheap enough for every round; no proof against malice."""
        tensors = [tensor for _, tensor in self._named()]
        # Views are of use again, but where a tensor has moved, or is read through a copy.
        where = [tensor.data_ptr() if tensor.is_contiguous() else None for tensor in tensors]
        if where != self._cut_where or None in where:
            self._cut_where, self._pieces = where, cut(tensors)
        return fingerprint(self._pieces, self.progress.encode())

    def weights_sha256(self) -> str:
        """SHA-256 of the trained tensors in name order, as raw little-endian bytes."""
        digest = hashlib.sha256()
        for parameter in self.tensors.values():
            digest.update(_raw(parameter))
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """The whole state as one safetensors file; from any thread, as it is after a round."""
        with self._changing:
            return b"".join(self._safetensors())

    def to_buffer(self, spare: bytearray | None = None) -> bytearray:
        """As ``to_bytes``, in memory that may be used again.

        Args:
            spare: Memory that nobody reads any more; it is filled, and returned, where its size
                is right. New memory takes ten times as long to come as the state to be copied.
        """
        with self._changing:
            parts = list(self._safetensors())
            size = sum(len(part) for part in parts)
            file = spare if spare is not None and len(spare) == size else bytearray(size)
            with memoryview(file) as view:
                end = 0
                for part in parts:
                    start, end = end, end + len(part)
                    view[start:end] = part
        return file

    def _safetensors(self) -> Iterator[bytes | memoryview]:
        return _safetensors(self._named(), {"progress": self.progress.encode()})

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
        with self._changing, torch.no_grad():
            self.progress = progress
            self.loads += 1
            for name, parameter in self.tensors.items():
                parameter.copy_(tensors[f"weights/{name}"])
                for moment, kind in zip(
                    self._moments[name], ("exp_avg", "exp_avg_sq"), strict=True
                ):
                    moment.copy_(tensors[f"{kind}/{name}"])


def _cast(
    gradients_T: MeanGradients | Sequence[Tensor], number: int, dtype: torch.dtype
) -> Tensor:
    if isinstance(gradients_T, MeanGradients):
        return gradients_T.cast(number, dtype)
    return gradients_T[number].to(dtype)


def _wide(parameter: Tensor) -> torch.dtype:
    """The format of a tensor's step and moments, in which AdamW's 1e-8 is not 0."""
    return torch.promote_types(parameter.dtype, torch.float32)


def read_state(data: bytes) -> tuple[Progress, dict[str, Tensor]]:
    """Take a saved state apart: progress, and tensors by their full name."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return Progress.decode(header["__metadata__"]["progress"]), load(data)


def _safetensors(
    named: Iterable[tuple[str, Tensor]], metadata: dict[str, str]
) -> Iterator[bytes | memoryview]:
    """What ``safetensors.torch.save`` writes, part by part; it makes three copies of all.

    Source: the format in github.com/huggingface/safetensors, README. Wider numbers come first,
    so that all lie aligned.
    """
    ordered = sorted(named, key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _FORMATS[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    yield from (_raw(tensor) for _, tensor in ordered)


def _raw(tensor: Tensor) -> memoryview:
    """The bytes of a tensor, in place where they can be."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
