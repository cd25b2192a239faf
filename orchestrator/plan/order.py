"""The order of an epoch: a keyed permutation with O(1) memory and random access.

Letters: P positions asked for, D orders, R rounds of the network.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import PlanError

ROUNDS = 6
_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]


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
    only_P = np.zeros(len(positions_P), dtype=np.int64)
    return look_up([Order(num_samples, seed, epoch)], only_P, positions_P)


class Order(NamedTuple):
    """One permutation of ``range(size)`` among all that a job uses."""

    size: int
    seed: int
    epoch: int


def look_up(orders: Sequence[Order], which_P: Integers, positions_P: Integers) -> Integers:
    """Say what stands at positions of several permutations, all in one go.

    Args:
        orders: The permutations.
        which_P: Number of the permutation that each position is one of.
        positions_P: Places, each inside its permutation.

    Returns:
        What stands there, int64 of shape [P].
    """
    size_P = np.array([order.size for order in orders], dtype=np.uint64)[which_P]
    half_bits_P = np.array([_half_bits(o.size) for o in orders], dtype=np.uint64)[which_P]
    keys_DR = [[hash_integers(o.seed, o.epoch, r) for r in range(ROUNDS)] for o in orders]
    keys_RP = np.array(keys_DR, dtype=np.uint64).T[:, which_P]
    walk_P = positions_P.astype(np.uint64)
    outside = np.arange(len(walk_P))
    while outside.size:
        words = _feistel(walk_P[outside], half_bits_P[outside], keys_RP[:, outside])
        walk_P[outside] = words
        outside = outside[words >= size_P[outside]]
    return walk_P.astype(np.int64)


def _half_bits(size: int) -> int:
    return max(1, ((size - 1).bit_length() + 1) // 2)


def _feistel(words_P: Words, half_bits_P: Words, keys_RP: Words) -> Words:
    mask_P = (np.uint64(1) << half_bits_P) - np.uint64(1)
    left_P, right_P = words_P >> half_bits_P, words_P & mask_P
    for key_P in keys_RP:
        left_P, right_P = right_P, left_P ^ (_mix64_array(right_P + key_P) & mask_P)
    return (left_P << half_bits_P) | right_P


def _mix64_array(words: Words) -> Words:
    # Wrapping is what a hash wants; NumPy wraps unsigned arrays without a word.
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
