"""The fixed-point grids that gradients are rounded to.

Letters: T trained tensors, B buckets of magnitudes.
"""

import math
from dataclasses import dataclass

from torch import Tensor

TARGET_BITS = 40
"""The largest entry of a tensor takes 37 to 40 bits: at least 2^12 finer than float32."""
UNKNOWN_EXPONENT = 200
"""A grid so fine that any gradient overflows it: the first real one finds the tensor's own."""
# Float32 spans exponents -148 to 128; four to a bucket.
_LOWEST_EXPONENT = -160
_BUCKET_BITS = 4
NUM_BUCKETS = 74


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
    """The bucket of magnitudes of a positive number up to float32's largest."""
    return max(0, math.frexp(largest)[1] - _LOWEST_EXPONENT) // _BUCKET_BITS


def _top_exponent(bucket: int) -> int:
    return _LOWEST_EXPONENT + (bucket + 1) * _BUCKET_BITS - 1
