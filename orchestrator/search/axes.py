"""Where a value lies along an axis, and what is written beside it."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from orchestrator.data.lint.words import short
from orchestrator.search.naming import shown

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
MOST_PLACES = 8
"""Values that are written out one by one; of more numbers, only ends and middle."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of numbers with round ends, and its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Sequence[float], *, most_ticks: int = 5) -> "Scale":
        """Round ends around all values; some room where they are all alike."""
        low, high = min(values), max(values)
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-12):
            room = abs(low) * 0.1 or 1.0
            low, high = low - room, high + room
        step = round_step((high - low) / most_ticks)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(number * step for number in range(first, last + 1))
        return cls(ticks[0], ticks[-1], ticks)

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


def round_step(width: float) -> float:
    """The smallest round number that is at least as large."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(each * power for each in _STEPS if each * power >= width * (1 - 1e-9))


@dataclass(frozen=True, slots=True)
class Rail:
    """One upright axis for values of any kind: their places, and what is written where."""

    title: str
    shares: tuple[float | None, ...]
    """Of each trial, from below; None where it has no value."""
    marks: tuple[tuple[float, str], ...]

    @classmethod
    def of_values(cls, title: str, values: Sequence[JsonValue]) -> "Rail":
        """Settings: few of them evenly spaced, many numbers by their size."""
        keys = {json.dumps(value, sort_keys=True): value for value in values}
        if len(keys) > MOST_PLACES and all(_is_number(value) for value in keys.values()):
            return cls.of_numbers(title, [float(str(value)) for value in values])
        ordered = sorted(keys, key=lambda key: _order(keys[key]))
        # One value alone lies in the middle.
        room = max(1, len(ordered) - 1)
        places = {
            key: 0.5 if len(ordered) == 1 else place / room for place, key in enumerate(ordered)
        }
        shares = tuple(places[json.dumps(value, sort_keys=True)] for value in values)
        return cls(title, shares, tuple((places[key], shown(keys[key])) for key in ordered))

    @classmethod
    def of_numbers(cls, title: str, values: Sequence[float | None]) -> "Rail":
        """What was measured; numbers over orders of magnitude by their logarithm."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known:
            return cls(title, tuple(None for _ in values), ())
        if min(known) > 0 and max(known) / min(known) > 50:
            logs = cls.of_numbers(title, [v and math.log10(v) for v in values])
            return cls(
                title, logs.shares, tuple((p, short(10 ** float(t))) for p, t in logs.marks)
            )
        scale = Scale.over(known, most_ticks=3)
        shares = tuple(
            None if v is None or not math.isfinite(v) else scale.share(v) for v in values
        )
        return cls(title, shares, tuple((scale.share(t), f"{t:.4g}") for t in scale.ticks))


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _order(value: JsonValue) -> tuple[bool, float, str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return False, float(value), ""
    return True, 0.0, json.dumps(value, sort_keys=True)
