"""What counts of a trial, as numbers of which less is better."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from orchestrator.config.search import Objective
from orchestrator.search.trials import Trial, TrialFigures

IS_BETTER_HIGH: Final[Mapping[Objective, bool]] = MappingProxyType(
    {
        "loss": False,
        "accuracy": True,
        "peak_memory": False,
        "samples_per_s": True,
        "device_hours": False,
    }
)
TITLES: Final[Mapping[Objective, str]] = MappingProxyType(
    {
        "loss": "held-out loss",
        "accuracy": "held-out accuracy",
        "peak_memory": "peak memory, MB",
        "samples_per_s": "samples a second",
        "device_hours": "device-hours",
    }
)


def measured(figures: TrialFigures, objective: Objective) -> float | None:
    """The objective's own number; None where it was not measured."""
    match objective:
        case "peak_memory":
            return figures.peak_memory_mb
        case "loss":
            return figures.loss
        case "accuracy":
            return figures.accuracy
        case "samples_per_s":
            return figures.samples_per_s
        case "device_hours":
            return figures.device_hours


def costs_of(
    figures: TrialFigures, objectives: Sequence[Objective]
) -> tuple[float, ...] | None:
    """All objectives as costs: less is better. None where one was not measured."""
    costs = []
    for objective in objectives:
        value = measured(figures, objective)
        if value is None:
            return None
        costs.append(-value if IS_BETTER_HIGH[objective] else value)
    return tuple(costs)


def front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Places of those that no other beats: as good in everything, and better in something."""
    return [
        place
        for place, mine in enumerate(costs)
        if not any(_beats(other, mine) for other in costs)
    ]


def _beats(other: Sequence[float], mine: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(other, mine, strict=True)) and tuple(other) != tuple(mine)


def front_of(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Finished trials that no other beats, best by the first objective first."""
    known = [
        (costs, trial)
        for trial in trials
        if trial.status == "finished" and trial.figures is not None
        if (costs := costs_of(trial.figures, objectives)) is not None
    ]
    kept = [known[place] for place in front([costs for costs, _ in known])]
    # Of equals the cheapest, and then by name: the same answer each time.
    return [trial for _, trial in sorted(kept, key=lambda each: (each[0], _price(each[1])))]


def _price(trial: Trial) -> tuple[float, str]:
    assert trial.figures is not None
    return trial.figures.device_hours, trial.name
