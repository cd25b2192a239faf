"""When memory runs out: a micro-batch in halves, each computed by itself.

The gradient is the same up to rounding, and the run is marked as not exact, for a machine with
more memory would have rounded otherwise.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import Parameter

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import JobError
from orchestrator.train.contracts import Learner, Score
from orchestrator.train.crew import Ledger

R = TypeVar("R")

# As the CPU's allocator, CUDA outside of torch's allocator, and CUDA's libraries say it.
_WORDS = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


@dataclass(frozen=True)
class HalvingLearner:
    """``train.contracts.Learner`` that needs no more memory than the largest sample does.

    Args:
        learner: Whose memory may run out.
        tensors: What is trained, by name.
        ledger: Is told of every micro-batch that was halved, before its gradient counts.
    """

    learner: Learner
    tensors: Mapping[str, Parameter]
    ledger: Ledger

    def backward(self, batch: MicroBatch) -> float:
        """As ``train.contracts.Learner.backward``.

        Raises:
            JobError: Memory does not suffice for one sample.
        """
        sums: dict[str, Tensor] = {}
        losses = []
        for loss in _in_parts(self.learner.backward, batch, self._forget):
            losses.append(loss)
            self._add_to(sums)
        if len(losses) > 1:
            self.ledger.halved(batch, parts=len(losses))
        for name, parameter in self.tensors.items():
            parameter.grad = sums.get(name)
        return sum(losses)

    def score(self, batch: MicroBatch) -> Score:
        """As ``train.contracts.Learner.score``; in halves it moves by rounding alone.

        Raises:
            JobError: Memory does not suffice for one sample.
        """
        scores = list(_in_parts(self.learner.score, batch, self._forget))
        return Score(
            loss=sum(score.loss for score in scores),
            label_tokens=sum(score.label_tokens for score in scores),
            samples=sum(score.samples for score in scores),
            correct=sum(score.correct for score in scores),
        )

    def _add_to(self, sums: dict[str, Tensor]) -> None:
        """Take the gradients of a part out of ``.grad``, where those of the next will arise."""
        for name, parameter in self.tensors.items():
            if parameter.grad is not None:
                sums[name] = sums[name].add_(parameter.grad) if name in sums else parameter.grad
                parameter.grad = None

    def _forget(self) -> None:
        """Let go of what an attempt left behind: half a gradient, and memory kept for later."""
        for parameter in self.tensors.values():
            parameter.grad = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def naming_shortage(batch: MicroBatch) -> Iterator[None]:
    """For a crew, which computes in lockstep and cannot do a micro-batch in halves.

    Raises:
        JobError: Memory ran out inside.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        raise JobError(
            f"memory ran out on samples {', '.join(batch.ids)}, and workers that share a base "
            "cannot do a micro-batch in halves",
            "train",
            "Lower train.micro_tokens and choose a new name, or raise scale.workers_per_cell",
        ) from error


def is_shortage(error: RuntimeError | MemoryError) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in _WORDS
    )


def _in_parts(
    compute: Callable[[MicroBatch], R], batch: MicroBatch, forget: Callable[[], None]
) -> Iterator[R]:
    """What comes of a micro-batch: one result, or one of each part that memory suffices for."""
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        result = _unless_short(compute, part)
        if result is not None:
            yield result
            continue
        forget()
        if len(part.samples) == 1:
            raise JobError(
                f"memory runs out on sample {part.ids[0]} alone",
                "train",
                "Lower images.max_pixels or images.max_images, or turn on train.recompute or "
                "train.offload, under a new name; or use machines with more memory",
            )
        waiting += reversed(part.halves())


def _unless_short(compute: Callable[[MicroBatch], R], part: MicroBatch) -> R | None:
    """The result, or None where memory ran out.

    Only once this has returned is the error gone, and with it all that its frames hold.
    """
    try:
        return compute(part)
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
    return None
