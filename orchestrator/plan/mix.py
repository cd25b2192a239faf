"""Several data sets in one epoch: whose sample fills which slot, as integer arithmetic.

A data set of weight 2 fills twice as many slots of an epoch as it has samples, one of weight
0.5 half as many. Slots are virtual: nothing of their number is ever held.

Letters: P slots asked for, D data sets.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import PlanError
from orchestrator.plan.order import Integers, Order, hash_integers, look_up


@dataclass(frozen=True, slots=True)
class Share:
    """One data set's part in a mixture."""

    num_samples: int
    """Its usable samples. They stand one after another in the index."""

    weight: float = 1.0
    """Slots of an epoch for each of its samples."""

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise PlanError(
                f"a data set of weight {self.weight}", "plan.mix", "Set it above 0, and finite"
            )

    @property
    def num_slots(self) -> int:
        """Slots that it fills in every epoch: at least one, if it has a sample."""
        return max(1, round(self.weight * self.num_samples)) if self.num_samples else 0

    @property
    def num_rotating(self) -> int:
        """Slots of an epoch beyond those that use every sample equally often."""
        return self.num_slots % max(1, self.num_samples)

    def cycle_of(self, epoch: int) -> int:
        """Epochs in which the rotating slots come round to where they began, counted."""
        return epoch * math.gcd(self.num_samples, self.num_rotating) // self.num_samples


@dataclass(frozen=True)
class Mix:
    """The slots of an epoch, data set after data set; the epoch's order shuffles them.

    In every epoch each sample of a data set fills as many slots as any other, or one more. Who
    gets the one more goes round: after any number of epochs no sample of a data set was used
    more than once oftener than another.
    """

    shares: tuple[Share, ...]
    """In the order in which the data sets stand in the index."""

    @cached_property
    def num_samples(self) -> int:
        """Samples of all data sets: those of the index."""
        return sum(share.num_samples for share in self.shares)

    @cached_property
    def num_slots(self) -> int:
        """Slots of one epoch."""
        return sum(share.num_slots for share in self.shares)

    def samples_of(self, slots_P: Integers, *, seed: int | None, epoch: int) -> Integers:
        """Say whose sample stands in each slot of an epoch.

        Args:
            slots_P: Slots before they are shuffled, each in ``[0, num_slots)``.
            seed: The job's seed; decides which samples fill the slots that do not go round in
                an epoch. None takes samples in the order of the index.
            epoch: The epoch, from 0.

        Returns:
            Sample numbers in the index, int64 of shape [P].
        """
        share_P = np.searchsorted(self._last_slot_D, slots_P, side="right")
        size_P = self._size_D[share_P]
        place_P = slots_P - self._first_slot_D[share_P]
        within_P = place_P % size_P
        rotating_P = np.flatnonzero(place_P >= self._first_rotating_D[share_P])
        if rotating_P.size:
            within_P[rotating_P] = self._rotated(
                share_P[rotating_P], within_P[rotating_P], seed=seed, epoch=epoch
            )
        return self._first_sample_D[share_P] + within_P

    def _rotated(
        self, share_P: Integers, place_P: Integers, *, seed: int | None, epoch: int
    ) -> Integers:
        """Samples, counted within their data sets, of slots that go on where they left off."""
        numbers_D, which_P = np.unique(share_P, return_inverse=True)
        numbers = numbers_D.tolist()
        shares = [self.shares[number] for number in numbers]
        # Multiplied as Python's integers: these do not overflow.
        starts_D = _integers(s.num_rotating * epoch % s.num_samples for s in shares)
        place_P = (starts_D[which_P] + place_P) % self._size_D[share_P]
        if seed is None:
            return place_P
        # One order for a whole cycle: with a new one in the middle of an epoch a sample could
        # come before the cut and again after it.
        orders = [
            Order(share.num_samples, hash_integers(seed, number), share.cycle_of(epoch))
            for number, share in zip(numbers, shares, strict=True)
        ]
        return look_up(orders, which_P, place_P)

    @cached_property
    def _size_D(self) -> Integers:
        return _integers(share.num_samples for share in self.shares)

    @cached_property
    def _first_sample_D(self) -> Integers:
        return np.cumsum(self._size_D) - self._size_D

    @cached_property
    def _last_slot_D(self) -> Integers:
        return _integers(accumulate(share.num_slots for share in self.shares))

    @cached_property
    def _first_slot_D(self) -> Integers:
        return self._last_slot_D - _integers(share.num_slots for share in self.shares)

    @cached_property
    def _first_rotating_D(self) -> Integers:
        return _integers(share.num_slots - share.num_rotating for share in self.shares)


def _integers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)
