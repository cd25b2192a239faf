"""Sums of gradients that come out the same in any order, on any number of ranks.

Floating-point addition is not associative; integer addition is. Each micro-batch's gradient is
rounded to a fixed-point grid that every rank knows, and what is added, on the rank and across
ranks, are int64 counts of grid units.

What the next step's grid needs, and what tells a bad step, rides along in the same sum: a
second reduction could find some ranks in it and others, whose first one failed, elsewhere.

Letters: E trained numbers in all, T trained tensors, B buckets of magnitudes, K
micro-batches of the step, C counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from orchestrator.errors import NonFiniteError

TARGET_BITS = 40
"""The largest entry of a tensor takes 37 to 40 bits: at least 2^12 finer than float32."""
UNKNOWN_EXPONENT = 200
"""A grid so fine that any gradient overflows it: the first real one finds the tensor's own."""
LOSS_EXPONENT = 24
"""A loss is counted in units of 2^-24 nats."""
_FLOAT64_BITS = 52
_INT64_BITS = 62
# Float32 spans exponents -148 to 128; four to a bucket.
_LOWEST_EXPONENT = -160
_BUCKET_BITS = 4
NUM_BUCKETS = 74
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
class Grid:
    """One exponent a tensor: a gradient is counted in units of ``2 ** -exponent``."""

    exponents_T: tuple[int, ...]

    @classmethod
    def unknown(cls, num_tensors: int) -> "Grid":
        """The grid before any gradient was seen."""
        return cls((UNKNOWN_EXPONENT,) * num_tensors)

    def fit(self, histogram_TB: Tensor) -> "Grid":
        """The grid for the next round, from how large the micro-batches' entries were.

        Args:
            histogram_TB: How many micro-batches had their largest entry in which bucket of
                magnitudes, int64 of shape [T, B], over all ranks.

        Returns:
            A grid on which each tensor's largest entry takes about ``TARGET_BITS`` bits. A
            tensor that was all zero keeps its exponent.
        """
        exponents = list(self.exponents_T)
        for tensor, buckets in enumerate(histogram_TB.tolist()):
            seen = [number for number, micros in enumerate(buckets) if micros]
            if seen:
                exponents[tensor] = TARGET_BITS - _top_exponent(seen[-1])
        return Grid(tuple(exponents))


def bucket_of(largest: float) -> int:
    """The bucket of magnitudes of a positive float32."""
    return (math.frexp(largest)[1] - _LOWEST_EXPONENT) // _BUCKET_BITS


def _top_exponent(bucket: int) -> int:
    return _LOWEST_EXPONENT + (bucket + 1) * _BUCKET_BITS - 1


def limit_bits(num_micros: int) -> int:
    """Bits that one micro-batch's entry may take, so that sums of all stay inside int64.

    Also at most 52, so that float64 still holds every count exactly while it is rounded.
    """
    return min(_FLOAT64_BITS, _INT64_BITS - max(1, num_micros).bit_length())


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

    Attributes:
        grid: The grid of this round.
        culprits: Micro-batches of this rank with NaN or infinity in them.
    """

    def __init__(self, tensors: Mapping[str, Tensor], grid: Grid, *, num_micros: int) -> None:
        self._names = list(tensors)
        self._shapes = [tensor.shape for tensor in tensors.values()]
        self._sizes = [tensor.numel() for tensor in tensors.values()]
        device = next(iter(tensors.values())).device
        sizes = torch.tensor(self._sizes, device=device)
        # Not torch.ldexp: it raises 2 to a power in float32, where 2 ** 200 is infinite.
        scales = [2.0**exponent for exponent in grid.exponents_T]
        scale_T = torch.tensor(scales, dtype=torch.float64, device=device)
        self._scale_E = scale_T.repeat_interleave(sizes)
        self._limit = float(1 << limit_bits(num_micros))
        self._units_E = torch.zeros(sum(self._sizes), dtype=torch.int64, device=device)
        self._counts = [0] * len(Count)
        self._times_K = torch.zeros(num_micros, dtype=torch.int64)
        self.grid = grid
        self._histogram_TB = torch.zeros(len(tensors), NUM_BUCKETS, dtype=torch.int64)
        self.culprits: list[Culprit] = []

    def mark(self, micro: int) -> None:
        """Note that a micro-batch is in this share, be it without a sample."""
        self._times_K[micro] += 1

    def has(self, micro: int) -> bool:
        """Whether a micro-batch is in this share already."""
        return bool(self._times_K[micro])

    def take(
        self, gradients_T: Sequence[Tensor], loss: float, counts: dict[Count, int]
    ) -> bool:
        """Add one micro-batch.

        Args:
            gradients_T: Gradient of the *summed* loss, one a trained tensor, in name order.
            loss: The summed loss, in nats.
            counts: Label tokens, samples and tokens of the micro-batch.

        Returns:
            Whether loss and gradients are all finite; if not, the caller names the culprit.
        """
        flat_E = torch.cat([gradient.reshape(-1) for gradient in gradients_T]).double()
        if not (math.isfinite(loss) and bool(torch.isfinite(flat_E).all())):
            # Converted to int64, NaN and infinity turn into something that looks valid.
            self._counts[Count.NON_FINITE] += 1
            return False
        largest_T = torch.stack([part.abs().max() for part in torch.split(flat_E, self._sizes)])
        for tensor, largest in enumerate(largest_T.tolist()):
            if largest:
                self._histogram_TB[tensor, bucket_of(largest)] += 1
        units_E = flat_E.mul_(self._scale_E).round_()
        outside_E = units_E.abs() > self._limit
        self._counts[Count.OUT_OF_RANGE] += int(outside_E.sum())
        self._units_E += units_E.masked_fill_(outside_E, 0.0).to(torch.int64)
        self._counts[Count.LOSS] += round(loss * (1 << LOSS_EXPONENT))
        for count, value in counts.items():
            self._counts[count] += value
        return True

    def blame(self, micro: int, gradients_T: Sequence[Tensor], samples: Sequence[str]) -> None:
        """Name the tensors of a micro-batch that is not finite."""
        named = zip(self._names, gradients_T, strict=True)
        broken = [name for name, tensor in named if not bool(torch.isfinite(tensor).all())]
        self.culprits.append(Culprit(micro, tuple(broken) or ("the loss",), tuple(samples)))

    def payload(self, fingerprint: int) -> Tensor:
        """What goes into the reduction: int64 of shape [E + T * B + K + C], on the CPU.

        Args:
            fingerprint: The replica's state in 48 bits; replicas that drifted apart are found
                by it in the very same sum.
        """
        low, high = fingerprint & _HASH_PART, (fingerprint >> 24) & _HASH_PART
        self._counts[Count.HASH_LOW], self._counts[Count.HASH_LOW_SQUARED] = low, low * low
        self._counts[Count.HASH_HIGH], self._counts[Count.HASH_HIGH_SQUARED] = high, high * high
        counts_C = torch.tensor(self._counts, dtype=torch.int64)
        parts = self._units_E.cpu(), self._histogram_TB.reshape(-1), self._times_K, counts_C
        return torch.cat(parts)

    def absorb(self, payload: Tensor) -> None:
        """Add shares of the same round, on the same grid, that others have added up."""
        units_E, histogram, times_K, counts_C = self._parts(payload)
        self._units_E += units_E.to(self._units_E.device)
        self._histogram_TB += histogram.reshape(-1, NUM_BUCKETS)
        self._times_K += times_K
        for count in ADDED:
            self._counts[count] += int(counts_C[count])

    def _parts(self, payload: Tensor) -> tuple[Tensor, ...]:
        num_buckets, num_micros = self._histogram_TB.numel(), len(self._times_K)
        sections = [sum(self._sizes), num_buckets, num_micros, len(Count)]
        return torch.split(payload, sections)

    def reduced(self, payload: Tensor) -> "ReducedSum":
        """Read a reduced payload."""
        units_E, histogram, times_K, counts_C = self._parts(payload)
        return ReducedSum(
            units_T=list(torch.split(units_E, self._sizes)),
            shapes_T=self._shapes,
            grid=self.grid,
            next_grid=self.grid.fit(histogram.reshape(-1, NUM_BUCKETS)),
            is_whole=bool((times_K == 1).all()),
            counts=dict(zip(Count, counts_C.tolist(), strict=True)),
        )


@dataclass(frozen=True)
class ReducedSum:
    """A step's sum over all ranks."""

    units_T: list[Tensor]
    shapes_T: list[torch.Size]
    grid: Grid
    next_grid: Grid
    is_whole: bool
    """Whether every micro-batch of the step is in it exactly once."""
    counts: dict[Count, int]

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

    def per_token(self) -> list[Tensor]:
        """Gradient of the mean loss: float64, one a trained tensor, on the CPU.

        Divided once, by the label tokens of the whole step.
        """
        tokens = max(1, self.counts[Count.LABEL_TOKENS])
        return [
            units.double().mul_(2.0**-exponent).div_(tokens).reshape(shape)
            for units, shape, exponent in zip(
                self.units_T, self.shapes_T, self.grid.exponents_T, strict=True
            )
        ]


def clip(gradients_T: list[Tensor], max_norm: float | None) -> float:
    """Scale gradients down in place to a global norm, and return the norm they had.

    Works on the exact sum, in float64: every rank clips by the same factor.
    """
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients_T))
    if max_norm is not None and norm > max_norm:
        for gradient in gradients_T:
            gradient.mul_(max_norm / norm)
    return norm
