"""Seconds of a step at every world size, by the plan's own dealing.

Letters: K micro-batches in the step.
"""

from collections.abc import Sequence

import numpy as np

from orchestrator.plan.deal import Costs, deal_step
from orchestrator.simulate.measured import Measured


class Speed:
    """Steps as they are dealt, each world size once: dealing a large one takes milliseconds."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        spread, number = measured.spread, measured.num_micro
        self._cost_K: Costs = measured.micro_s * np.linspace(1 - spread, 1 + spread, number)
        self._known_s = dict(measured.round_s)
        self._hands: dict[int, list[list[int]]] = {}
        self._round_s: dict[int, float] = {}

    def round_s(self, world_size: int) -> float:
        """A step that nothing disturbs, as the run's log counts it."""
        if world_size not in self._round_s:
            known_s = self._known_s.get(world_size)
            self._round_s[world_size] = known_s or self._modelled_s(world_size)
        return self._round_s[world_size]

    def step_s(self, world_size: int) -> float:
        """From one step's end to the next one's."""
        return self.round_s(world_size) + self._measured.between_s

    def orphans_s(self, rank: int, *, world_size: int) -> float:
        """What the others take to do the hand of one rank among themselves."""
        if world_size < 2:
            return 0.0
        orphans_K = self._cost_K[self._dealt(world_size)[rank]]
        shares = deal_step(orphans_K, world_size=world_size - 1)
        return _makespan_s(orphans_K, shares) * self._correction(world_size - 1)

    def _modelled_s(self, world_size: int) -> float:
        return self._plain_s(world_size) * self._correction(world_size)

    def _plain_s(self, world_size: int) -> float:
        busy_s = _makespan_s(self._cost_K, self._dealt(world_size))
        return self._measured.fixed_s + busy_s

    def _correction(self, world_size: int) -> float:
        """The measured over the modelled time, of the measured world size that is nearest."""
        if not self._known_s:
            return 1.0
        nearest = min(self._known_s, key=lambda size: (abs(size - world_size), size))
        return self._known_s[nearest] / self._plain_s(nearest)

    def _dealt(self, world_size: int) -> list[list[int]]:
        if world_size not in self._hands:
            self._hands[world_size] = deal_step(self._cost_K, world_size=world_size)
        return self._hands[world_size]


def _makespan_s(cost_K: Costs, hands: Sequence[Sequence[int]]) -> float:
    return max((float(cost_K[hand].sum()) for hand in hands if hand), default=0.0)
