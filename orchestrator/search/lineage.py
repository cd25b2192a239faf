"""Which settings a bred trial was trained with, and from which step on."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.search.naming import told
from orchestrator.search.trials import Trial


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a training with one set of values."""

    first_step: int
    """Steps that were done before it."""
    trial: Trial


def lineage(trial: Trial, trials: Sequence[Trial]) -> list[Stretch]:
    """The trials whose steps are in a trial's weights, the first one first, it the last."""
    by_name = {each.name: each for each in trials}
    found: list[Stretch] = []
    while True:
        life = trial.life
        found.insert(0, Stretch(life.parent_step if life else 0, trial))
        if life is None or not life.parent:
            return found
        trial = by_name[life.parent]


def told_lineage(trial: Trial, trials: Sequence[Trial]) -> str:
    """A trial's lineage for people; empty where it was trained from its beginning."""
    stretches = lineage(trial, trials)
    if len(stretches) == 1:
        return ""
    words = [
        f"to step {after.first_step} as trial {before.trial.number} "
        f"({told(before.trial.values)})"
        for before, after in itertools.pairwise(stretches)
    ]
    return "trained " + ", ".join(words) + ", then as itself"
