"""The order of an epoch: a keyed permutation with O(1) memory and random access.

Letters: P positions asked for.
"""

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import PlanError

ROUNDS = 6
_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1

Integers = NDArray[np.int64]


def mix64(value: int) -> int:
    """Scramble 64 bits; every input bit reaches every output bit.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    """
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _WORD
    return value ^ (value >> 31)


def hash_integers(*values: int) -> int:
    """Fold integers of any size and sign into 64 bits, the same on every machine."""
    state = 0
    for value in values:
        state = mix64((state + _GOLDEN + (value & _WORD)) & _WORD)
    return state


def epoch_order(positions_P: Integers, *, num_samples: int, seed: int, epoch: int) -> Integers:
    """Say which sample stands at each position of an epoch.

    The epoch is a permutation of ``range(num_samples)``, made by a Feistel network over the
    next power of four, walked until it lands inside: any position costs the same few
    operations, and nothing of the size of the data set is ever held.

    Args:
        positions_P: Places in the epoch, each in ``[0, num_samples)``.
        num_samples: Samples in the data set.
        seed: The job's seed.
        epoch: The epoch, from 0. Each has an order of its own.

    Returns:
        Sample numbers, int64 of shape [P].

    Raises:
        PlanError: A position is outside the epoch.

    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains" (cycle walking).
    """
    if positions_P.size and not 0 <= positions_P.min() <= positions_P.max() < num_samples:
        raise PlanError(
            f"positions {positions_P.min()} to {positions_P.max()} of {num_samples} samples",
            "plan.order",
            "Ask for positions inside the epoch",
        )
    half_bits = max(1, ((num_samples - 1).bit_length() + 1) // 2)
    keys = [hash_integers(seed, epoch, number) for number in range(ROUNDS)]
    walk_P = positions_P.astype(np.uint64)
    outside = np.ones(walk_P.shape, dtype=bool)
    while outside.any():
        walk_P[outside] = _feistel(walk_P[outside], half_bits, keys)
        outside = walk_P >= num_samples
    return walk_P.astype(np.int64)


def _feistel(words: NDArray[np.uint64], half_bits: int, keys: list[int]) -> NDArray[np.uint64]:
    mask = np.uint64((1 << half_bits) - 1)
    shift = np.uint64(half_bits)
    left, right = words >> shift, words & mask
    for key in keys:
        left, right = right, left ^ (_mix64_array(right + np.uint64(key)) & mask)
    return (left << shift) | right


def _mix64_array(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # Wrapping is what a hash wants; NumPy wraps unsigned arrays without a word.
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
