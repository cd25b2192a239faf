"""What a search has spent, and when that is enough."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.config.search import SearchBudget
from orchestrator.search.trials import Trial


@dataclass(frozen=True, slots=True)
class Spent:
    """What a search has cost so far, over all drivers that it had."""

    trials: int
    """Begun; what was refused cost nothing."""
    steps: int
    hours: float
    device_hours: float

    @classmethod
    def on(cls, trials: Sequence[Trial], hours: float) -> "Spent":
        """What was spent on trials, in so many hours."""
        begun = [trial for trial in trials if trial.status != "refused"]
        figures = [trial.figures for trial in begun if trial.figures is not None]
        return cls(
            trials=len(begun),
            steps=sum(each.steps for each in figures),
            hours=hours,
            device_hours=sum(each.device_hours for each in figures),
        )


def exhausted(budget: SearchBudget, spent: Spent) -> str | None:
    """What there is no more of, in words; None while trials may go on."""
    limits = (
        ("steps", budget.steps, spent.steps),
        ("hours", budget.hours, spent.hours),
        ("device_hours", budget.device_hours, spent.device_hours),
    )
    for name, limit, used in limits:
        if limit is not None and used >= limit:
            return f"budget.{name} ({limit:g}) is spent"
    return None


def may_begin(budget: SearchBudget, spent: Spent) -> bool:
    """Whether the budget has room for one trial more."""
    has_number = budget.trials is None or spent.trials < budget.trials
    return has_number and exhausted(budget, spent) is None
