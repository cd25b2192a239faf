"""What a cell is told, and where it finds whom it talks to.

Kept light: the processes that only hand a cell on load none of what training takes.
"""

from dataclasses import dataclass
from typing import Any

import ray

from orchestrator.plan.steps import Slot
from orchestrator.train.lease import Lease
from orchestrator.train.rounds import Terms

NAMESPACE = "orchestrator"
"""Where the actors of a run are found by name."""


@dataclass(frozen=True, slots=True)
class CellSpec:
    """All that a cell is told."""

    cell: int
    job_json: str
    terms: Terms
    lease: Lease
    """The run's store, and the generation of the driver that started this cell."""
    token: str
    journal: str
    """Name of the journal's actor."""
    handout: str
    """Name of the hand-out's actor."""
    left_out: frozenset[Slot]


@dataclass(frozen=True, slots=True)
class CellShape:
    """What one worker needs of a node."""

    cpus: int
    gpu: bool
    others: dict[str, float]
    """By Ray's names."""
    workers: int = 1
    """Of one cell: they share the frozen base."""


@dataclass(frozen=True, slots=True)
class CellPlan:
    """The cells of one training."""

    specs: tuple[CellSpec, ...]
    shape: CellShape


def find_actor(name: str) -> Any:  # noqa: ANN401 - an actor's handle
    """One of the run's actors, from any process of the cluster."""
    return ray.get_actor(name, namespace=NAMESPACE)
