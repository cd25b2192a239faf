"""Hashes of a whole column at once, to find suspects by. They are no proof, and need no secret.

Letters: N texts, numbers or lists; B bytes; M members of all lists.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
Lengths = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(numbers_N: npt.NDArray[np.integer]) -> Hashes:
    """Scatter integers over 64 bits.

    Source: splitmix64, Steele, Lea and Flood 2014.
    """
    mixed_N: Hashes = numbers_N.astype(np.uint64) + _GOLDEN
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(30))) * _FIRST
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(27))) * _SECOND
    return mixed_N ^ (mixed_N >> np.uint64(31))


def hash_strings(texts: pa.Array) -> Hashes:
    """Hash texts: each byte times a number of its place, summed, scattered. Null is empty."""
    texts = texts.fill_null("").cast(pa.large_string())
    if not len(texts):
        return np.zeros(0, dtype=np.uint64)
    _, offsets, data = texts.buffers()
    ends_N = np.frombuffer(offsets, dtype=np.int64)[
        texts.offset : texts.offset + len(texts) + 1
    ]
    if data is None or ends_N[0] == ends_N[-1]:
        return mix(np.zeros(len(texts), dtype=np.uint64))
    bytes_B = np.frombuffer(data, dtype=np.uint8)[ends_N[0] : ends_N[-1]]
    lengths_N = np.diff(ends_N)
    starts_N = ends_N[:-1] - ends_N[0]
    place_B = np.arange(len(bytes_B)) - np.repeat(starts_N, lengths_N)
    factor_B = mix(np.arange(int(lengths_N.max())))[place_B]
    # Plus one, or texts that differ in NUL characters at the end would be equal.
    factor_B *= bytes_B.astype(np.uint64) + np.uint64(1)
    return mix(sums(factor_B, lengths_N))


def sums(values_M: Hashes, lengths_N: Lengths) -> Hashes:
    """Add up the members of each list, modulo 2 to the 64. The order in a list is no matter."""
    running_M = np.zeros(len(values_M) + 1, dtype=np.uint64)
    np.cumsum(values_M, out=running_M[1:])
    ends_N = np.cumsum(lengths_N)
    sums_N: Hashes = running_M[ends_N] - running_M[ends_N - lengths_N]
    return sums_N
