"""Sums of gradients that come out the same in any order, on any number of ranks.

Floating-point addition is not associative; integer addition is. Each micro-batch's gradient is
rounded to a fixed-point grid that every rank knows, and what is added, on the rank and across
ranks, are int64 counts of grid units. All of it goes a piece of a tensor at a time.

What the next step's grid needs, and what tells a bad step, rides along in the same sum: a
second reduction could find some ranks in it and others, whose first one failed, elsewhere.

Letters: E trained numbers in all, T trained tensors, B buckets of magnitudes, K
micro-batches of the step, C counts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from orchestrator.errors import NonFiniteError
from orchestrator.train.grid import NUM_BUCKETS, Grid, bucket_of
from orchestrator.train.mean import MeanGradients, clip
from orchestrator.train.pieces import landing, zeros
from orchestrator.train.units import (
    LOSS_EXPONENT,
    Gradients,
    add_units,
    is_countable,
    largest_entries,
    limit_bits,
    loss_units,
)

__all__ = ["LOSS_EXPONENT", "Count", "GradientSum", "Grid", "ReducedSum", "clip"]

KEPT_BYTES = 1 << 30
"""A rank's share up to this size is copied before it is reduced, and is still there when the
reduction fails; a larger one is computed again. In the memory of 134 M trained numbers."""
_HASH_PART = (1 << 24) - 1


class Count(IntEnum):
    """What is summed beside the gradients, by place in the tail of the payload."""

    LOSS = 0
    LABEL_TOKENS = 1
    SAMPLES = 2
    TOKENS = 3
    NON_FINITE = 4
    OUT_OF_RANGE = 5
    HASH_LOW = 6
    HASH_LOW_SQUARED = 7
    HASH_HIGH = 8
    HASH_HIGH_SQUARED = 9
    LEAVING = 10
    LEAVING_RANKS = 11
    SAVING = 12


WISHES = (Count.LEAVING, Count.LEAVING_RANKS, Count.SAVING)

ADDED = (
    Count.LOSS,
    Count.LABEL_TOKENS,
    Count.SAMPLES,
    Count.TOKENS,
    Count.NON_FINITE,
    Count.OUT_OF_RANGE,
)
"""What belongs to micro-batches; the rest is each rank's own."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """A micro-batch whose loss or gradient is NaN or infinite."""

    micro: int
    tensors: tuple[str, ...]
    samples: tuple[str, ...]

    def error(self, step: int) -> NonFiniteError:
        """The error that ends the run, naming step, tensors and samples."""
        shown = ", ".join(self.tensors[:3]) + (", …" if len(self.tensors) > 3 else "")
        return NonFiniteError(
            f"step {step}: NaN or infinity in {shown}, from samples {', '.join(self.samples)}",
            "train",
            "Lower train.learning_rate, or look at these samples",
        )


class GradientSum:
    """One rank's share of a step's sum, and after the reduction the whole of it.

    Where tensors are on a CPU, the sum is built up in the very memory that is reduced.

    Attributes:
        grid: The grid of this round.
        culprits: Micro-batches of this rank with NaN or infinity in them.

    Args:
        tensors: What is trained, by name.
        grid: The grid of this round.
        num_micros: Micro-batches of the step, over all ranks.
        kept_bytes: See ``KEPT_BYTES``.
        beside: A thread that adds while the next micro-batch is computed; None: the caller's.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        grid: Grid,
        *,
        num_micros: int,
        kept_bytes: int = KEPT_BYTES,
        beside: Executor | None = None,
    ) -> None:
        self._names = list(tensors)
        self._shapes = [tensor.shape for tensor in tensors.values()]
        self._sizes = [tensor.numel() for tensor in tensors.values()]
        self._device = next(iter(tensors.values())).device
        self._limit = 1 << limit_bits(num_micros)
        self._num_micros = num_micros
        self._kept_bytes = kept_bytes
        self._beside = beside
        self._under_way: Future[None] | None = None
        self.grid = grid
        self._begin()

    def _begin(self) -> None:
        self._is_lent = False
        num_buckets = len(self._sizes) * NUM_BUCKETS
        self._sections = [sum(self._sizes), num_buckets, self._num_micros, len(Count)]
        on_cpu = self._device.type == "cpu"
        room = sum(self._sections) if on_cpu else self._sections[0]
        self._buffer = zeros(room, self._device)
        self._units_T = torch.split(self._buffer[: self._sections[0]], self._sizes)
        self._counts = [0] * len(Count)
        self._times_K = torch.zeros(self._num_micros, dtype=torch.int64)
        self._histogram_TB = torch.zeros(len(self._sizes), NUM_BUCKETS, dtype=torch.int64)
        self.culprits: list[Culprit] = []

    def add(self, job: Callable[[], None]) -> None:
        """Have something added to this share, beside the caller where there is a thread for it.

        At most one is waiting: each holds the gradients of a micro-batch.
        """
        self.settle()
        if self._beside is None:
            job()
        else:
            self._under_way = self._beside.submit(job)

    def settle(self) -> None:
        """Return once all is added; what went wrong in it is raised here."""
        job, self._under_way = self._under_way, None
        if job is not None:
            job.result()

    def _take_back(self) -> None:
        """Begin anew if the reduction was given the only copy: what is in it is not ours now.

        In other memory, as a reduction that failed may still be writing to what it was given.
        """
        if self._is_lent:
            self._begin()

    @property
    def is_spent(self) -> bool:
        """Whether the reduction got the only copy: nothing of this share is left."""
        return self._is_lent

    def mark(self, micro: int) -> None:
        """Note that a micro-batch is in this share, be it without a sample."""
        self._take_back()
        self._times_K[micro] += 1

    def has(self, micro: int) -> bool:
        """Whether a micro-batch is in this share already."""
        self.settle()
        self._take_back()
        return bool(self._times_K[micro])

    def take(self, gradients_T: Gradients, loss: float, counts: Mapping[Count, int]) -> bool:
        """Add one micro-batch.

        Args:
            gradients_T: Gradient of the *summed* loss, one a trained tensor, in name order;
                None where none arrived.
            loss: The summed loss, in nats.
            counts: Label tokens, samples and tokens of the micro-batch.

        Returns:
            Whether loss and gradients are all finite; if not, the caller names the culprit.
        """
        self._take_back()
        largest_T = largest_entries(gradients_T)
        units = loss_units(loss, self._num_micros)
        if units is None or not all(map(is_countable, largest_T)):
            # Converted to int64, NaN and infinity turn into something that looks valid.
            self._counts[Count.NON_FINITE] += 1
            return False
        exponents_T = [self._fitting(*largest) for largest in enumerate(largest_T)]
        add_units(self._units_T, gradients_T, exponents_T)
        self._counts[Count.LOSS] += units
        for count, value in counts.items():
            self._counts[count] += value
        return True

    def _fitting(self, number: int, largest: float) -> int | None:
        """The exponent to round a tensor's gradient by; None if that is 0, or out of range."""
        if largest == 0.0:
            return None
        self._histogram_TB.numpy()[number, bucket_of(largest)] += 1
        exponent = self.grid.exponents_T[number]
        if round(math.ldexp(largest, exponent)) > self._limit:
            # Not added: the whole step is done again.
            self._counts[Count.OUT_OF_RANGE] += 1
            return None
        return exponent

    def blame(self, micro: int, gradients_T: Gradients, samples: Sequence[str]) -> None:
        """Name the tensors of a micro-batch that is not finite."""
        named = zip(self._names, largest_entries(gradients_T), strict=True)
        broken = [name for name, largest in named if not is_countable(largest)]
        self.culprits.append(Culprit(micro, tuple(broken) or ("the loss",), tuple(samples)))

    def wish(self, numbers: Sequence[int]) -> None:
        """Put what this rank asks of the others into the sum; it replaces an earlier wish."""
        self.settle()
        for count, number in zip(WISHES, numbers, strict=True):
            self._counts[count] = number

    def payload(self, fingerprint: int) -> Tensor:
        """What goes into the reduction: int64 of shape [E + T * B + K + C], on the CPU.

        Up to ``kept_bytes`` it is a copy, and the share outlives a reduction that fails. Beyond
        that it is the share itself, which begins empty again when it is next used.

        Args:
            fingerprint: The replica's state in 48 bits; replicas that drifted apart are found
                by it in the very same sum.
        """
        self.settle()
        self._take_back()
        low, high = fingerprint & _HASH_PART, (fingerprint >> 24) & _HASH_PART
        self._counts[Count.HASH_LOW], self._counts[Count.HASH_LOW_SQUARED] = low, low * low
        self._counts[Count.HASH_HIGH], self._counts[Count.HASH_HIGH_SQUARED] = high, high * high
        counts_C = torch.tensor(self._counts, dtype=torch.int64)
        tail = torch.cat([self._histogram_TB.view(-1), self._times_K, counts_C])
        num_units = self._sections[0]
        if self._device.type == "cpu" and self._buffer.nbytes > self._kept_bytes:
            self._is_lent = True
            payload = self._buffer
        else:
            payload = landing(sum(self._sections), self._device)
            payload[:num_units].copy_(self._buffer[:num_units])
        payload[num_units:].copy_(tail)
        return payload

    def absorb(self, payload: Tensor) -> None:
        """Add shares of the same round, on the same grid, that others have added up."""
        units_E, histogram, times_K, counts_C = torch.split(payload, self._sections)
        self.settle()
        self._take_back()
        self._buffer[: self._sections[0]] += units_E.to(self._device)
        self._histogram_TB += histogram.reshape(-1, NUM_BUCKETS)
        self._times_K += times_K
        for count in ADDED:
            self._counts[count] += int(counts_C[count])

    def reduced(self, payload: Tensor) -> "ReducedSum":
        """Read a reduced payload. Its units stay where they are until a step needs them."""
        units_E, histogram, times_K, counts_C = torch.split(payload, self._sections)
        return ReducedSum(
            units_E=units_E,
            device=self._device,
            shapes_T=self._shapes,
            grid=self.grid,
            next_grid=self.grid.fit(histogram.reshape(-1, NUM_BUCKETS)),
            times_K=times_K.tolist(),
            counts=dict(zip(Count, counts_C.tolist(), strict=True)),
        )


@dataclass(frozen=True)
class ReducedSum:
    """A step's sum over all ranks."""

    units_E: Tensor
    device: torch.device
    """Of what is trained."""
    shapes_T: list[torch.Size]
    grid: Grid
    next_grid: Grid
    times_K: list[int]
    """How often each micro-batch of the step is in it."""
    counts: dict[Count, int]

    @property
    def wishes(self) -> tuple[int, ...]:
        """What was given to ``GradientSum.wish``, added up."""
        return tuple(self.counts[count] for count in WISHES)

    @property
    def loss(self) -> float:
        """Mean loss of a label token, in nats."""
        return (
            self.counts[Count.LOSS]
            / (1 << LOSS_EXPONENT)
            / max(1, self.counts[Count.LABEL_TOKENS])
        )

    def has_drifted(self, world_size: int) -> bool:
        """Whether replicas with different states took part: equal hashes have no variance."""
        return any(
            world_size * self.counts[squared] != self.counts[once] ** 2
            for once, squared in (
                (Count.HASH_LOW, Count.HASH_LOW_SQUARED),
                (Count.HASH_HIGH, Count.HASH_HIGH_SQUARED),
            )
        )

    def per_token(self) -> MeanGradients:
        """Gradient of the mean loss, one a trained tensor, on its device.

        Divided once, by the label tokens of the whole step.
        """
        tokens = max(1, self.counts[Count.LABEL_TOKENS])
        # Dividing by both at once: the power of two only moves the point.
        divisors_T = [math.ldexp(tokens, exponent) for exponent in self.grid.exponents_T]
        sizes_T = [shape.numel() for shape in self.shapes_T]
        units_T = list(torch.split(self.units_E.to(self.device), sizes_T))
        return MeanGradients(units_T, self.shapes_T, divisors_T)
