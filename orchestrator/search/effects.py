"""What a field does by itself, the others held fixed, and how sure that is.

An additive fit over all trials that ended well: the outcome is a mean, and a part for the level
of each field. What a level comes to is the fit's answer with the other fields as they were on
average; its interval follows from what the fit leaves unexplained, which in trainings that are
exact is nothing but fields that act together. Balanced grids and uneven draws go alike.

Letters: R trials; C columns of the fit; L levels of a field.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue
from scipy.stats import t as student

from orchestrator.search.naming import shown

SURE = 0.95
"""How often an interval is right, if fields do not act together."""
MOST_LEVELS = 6
"""A number that has more is put into groups of neighbours, as many as ``GROUPS``."""
GROUPS = 3

Array = npt.NDArray[np.float64]
Point = tuple[Mapping[str, JsonValue], float]
"""What a trial sets, and its outcome."""


@dataclass(frozen=True, slots=True)
class Level:
    """One value of a field, or a group of neighbours."""

    label: str
    trials: int
    mean: float
    low: float | None
    """None, like ``high``, where there are too few trials to tell."""
    high: float | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a field does to an outcome."""

    field: str
    levels: tuple[Level, ...]

    @property
    def spread(self) -> float:
        """Between its best level and its worst."""
        means = [level.mean for level in self.levels]
        return max(means) - min(means)


def effects(points: Sequence[Point], fields: Sequence[str]) -> list[Effect]:
    """The effect of each field of which at least two levels were tried.

    Args:
        points: Trials that came to an end.
        fields: Those to fit, first and last alike.
    """
    columns = {field: _levels([values[field] for values, _ in points]) for field in fields}
    varied = {field: levels for field, levels in columns.items() if len(set(levels)) > 1}
    if len(points) < 2 or not varied:
        return []
    fit = _Fit.of(varied, np.array([outcome for _, outcome in points]))
    return [
        Effect(field, tuple(fit.level(field, name) for name in fit.names[field]))
        for field in varied
    ]


@dataclass(frozen=True)
class _Fit:
    """Least squares on a column of ones and one column a level."""

    names: Mapping[str, list[str]]
    """Levels of each field, in their order."""
    row_levels: Mapping[str, list[str]]
    design_RC: Array
    starts: Mapping[str, int]
    beta_C: Array
    spread_CC: Array
    """Of the answers, for a variance of one."""
    variance: float | None

    @classmethod
    def of(cls, levels: Mapping[str, list[str]], outcome_R: Array) -> "_Fit":
        names = {
            field: list(dict.fromkeys(sorted(rows, key=_order)))
            for field, rows in levels.items()
        }
        blocks, starts, width = [np.ones((len(outcome_R), 1))], {}, 1
        for field, rows in levels.items():
            starts[field], width = width, width + len(names[field])
            blocks.append(
                np.array([[row == name for name in names[field]] for row in rows], float)
            )
        design_RC = np.hstack(blocks)
        # Columns of a field add up to the ones: the pseudoinverse takes the shortest answer,
        # and what is asked of it does not depend on which.
        inverse_CR = np.linalg.pinv(design_RC)
        beta_C = inverse_CR @ outcome_R
        left_R = outcome_R - design_RC @ beta_C
        free = len(outcome_R) - int(np.linalg.matrix_rank(design_RC))
        variance = float(left_R @ left_R) / free if free > 0 else None
        return cls(
            names, levels, design_RC, starts, beta_C, inverse_CR @ inverse_CR.T, variance
        )

    def level(self, field: str, name: str) -> Level:
        """What a level comes to, the other fields as they were on average."""
        asked_C = self.design_RC.mean(axis=0)
        start, names = self.starts[field], self.names[field]
        asked_C[start : start + len(names)] = [each == name for each in names]
        mean = float(asked_C @ self.beta_C)
        count = self.row_levels[field].count(name)
        label = name.partition("\0")[2] or name
        if self.variance is None:
            return Level(label, count, mean, None, None)
        free = len(self.design_RC) - int(np.linalg.matrix_rank(self.design_RC))
        error = float(np.sqrt(self.variance * (asked_C @ self.spread_CC @ asked_C)))
        half = float(student.ppf(0.5 + SURE / 2, free)) * error
        return Level(label, count, mean, mean - half, mean + half)


def _levels(values: Sequence[JsonValue]) -> list[str]:
    """The level of each: the value or its group, behind a number to sort by and a zero byte."""
    distinct = {json.dumps(value, sort_keys=True): value for value in values}
    numbers = [
        v for v in distinct.values() if isinstance(v, int | float) and not isinstance(v, bool)
    ]
    if len(numbers) < len(distinct):
        return [f"{shown(value)}" for value in values]
    if len(numbers) <= MOST_LEVELS:
        return [f"{float(value)!r}\0{shown(value)}" for value in values]  # type: ignore[arg-type]  # numbers
    ordered = sorted(float(number) for number in numbers)
    parts = np.array_split(np.array(ordered), GROUPS)
    names = [
        f"{part[0]!r}\0{part[0]:.3g} to {part[-1]:.3g}" for part in (p.tolist() for p in parts)
    ]
    tops = [float(part[-1]) for part in parts]
    return [names[int(np.searchsorted(tops, float(value)))] for value in values]  # type: ignore[arg-type]  # numbers


def _order(name: str) -> tuple[float, str]:
    number, zero, _ = name.partition("\0")
    return (float(number), "") if zero else (0.0, name)
