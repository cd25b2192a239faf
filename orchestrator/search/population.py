"""Population-based training: who is given up at a measurement, and what a copy tries instead.

All members are compared at the same step. So who replaces whom follows from what was measured
and the seed alone: a search that is killed and started again, or has room for another number of
trainings at once, breeds the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.config.search import PbtConfig, Span
from orchestrator.search.space import Space, Values, as_field, draw_one

if TYPE_CHECKING:
    from pydantic import JsonValue

FACTORS = (0.8, 1.2)
"""What a number is multiplied by: one of them (Jaderberg et al., 2017)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A member at a measurement."""

    member: int
    trial: str
    values: Values
    cost: float | None
    """Less is better; None or NaN: it failed, or was never begun."""

    @property
    def is_alive(self) -> bool:
        """Whether it can go on."""
        return self.cost is not None and not math.isnan(self.cost)


@dataclass(frozen=True, slots=True)
class Copy:
    """What takes a member's place."""

    member: int
    of: Standing
    values: Values


def replaced(
    standings: Sequence[Standing], space: Space, config: PbtConfig, *, seed: int, step: int
) -> list[Copy]:
    """Who is given up, each with its place taken by a varied copy of one of the best.

    Those that failed are given up in any case. Nobody is, where nobody is left to copy.

    Args:
        standings: One a member.
        space: What values may be.
        config: How many, and how often they are drawn anew.
        seed: Of the search.
        step: Of the measurement.

    Returns:
        Copies by their member's number.
    """
    alive = [each for each in standings if each.is_alive]
    alive.sort(key=lambda each: (each.cost, each.member))
    if not alive:
        return []
    # Half of those alive at most: nobody is both among the best and among the worst.
    count = min(max(1, int(len(standings) * config.replace)), len(alive) // 2)
    given_up = [each for each in standings if not each.is_alive]
    given_up += alive[len(alive) - count :]
    best = alive[: max(1, count)]
    copies = []
    for each in sorted(given_up, key=lambda standing: standing.member):
        rng = np.random.default_rng((seed, step, each.member))
        parent = best[int(rng.integers(len(best)))]
        values = {
            name: _varied(name, value, space, config, rng)
            for name, value in parent.values.items()
        }
        copies.append(Copy(each.member, parent, values))
    return copies


def _varied(
    name: str, value: "JsonValue", space: Space, config: PbtConfig, rng: np.random.Generator
) -> "JsonValue":
    axis = space[name]
    if rng.random() < config.resample:
        return draw_one(name, axis, rng)
    if isinstance(axis, Span):
        assert isinstance(value, int | float), f"{name} is {value!r} in a range"
        return as_field(name, axis, value * FACTORS[int(rng.integers(2))])
    places = list(axis)
    if value not in places:
        # Of a list that was another one then.
        return draw_one(name, axis, rng)
    step = (-1, 1)[int(rng.integers(2))]
    found: JsonValue = places[min(max(places.index(value) + step, 0), len(places) - 1)]
    return found
