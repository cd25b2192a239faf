"""One trial of a search: what it sets, how it stands, and what it has come to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from orchestrator.search.space import Values
from orchestrator.tracking.summary import RunFigures

Status: TypeAlias = Literal["running", "finished", "stopped", "failed", "refused"]
ENDED: frozenset[Status] = frozenset({"finished", "stopped", "failed", "refused"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialFigures:
    """A trial in numbers, as far as it has come."""

    steps: int = 0
    """Optimizer steps done, each once."""

    planned_steps: int = 0
    """All that it has to do."""

    micro_batches: float = 0.0
    """Micro-batches of a step, on average: the accumulation that follows from the job."""

    train_loss: float | None = None
    """Of the last step."""

    loss: float | None = None
    """On held-out data, the last time that it was measured."""

    accuracy: float | None = None
    peak_memory_mb: float | None = None
    samples_per_s: float = 0.0
    """Of all workers together, while they train."""

    device_hours: float = 0.0
    """Of all workers together, from when each was there."""

    wall_s: float = 0.0
    restarts: int = 0
    """Attempts after the first."""

    lost_workers: int = 0

    @classmethod
    def of(
        cls, run: RunFigures, *, planned_steps: int, workers_per_cell: int
    ) -> "TrialFigures":
        """A run's figures, as a search compares them."""
        last = run.evals[-1] if run.evals else None
        return cls(
            steps=run.steps,
            planned_steps=planned_steps,
            micro_batches=round(run.micro_batches, 2),
            train_loss=run.final_loss,
            loss=last.loss if last else None,
            accuracy=last.accuracy if last else None,
            peak_memory_mb=run.peak_memory_mb,
            samples_per_s=run.samples_per_s,
            device_hours=run.cell_s * workers_per_cell / 3600,
            wall_s=run.wall_s,
            restarts=run.restarts,
            lost_workers=run.losses,
        )

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self.steps / self.planned_steps if self.planned_steps else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """A trial's part in a population that is bred (``scheduler: pbt``)."""

    member: int
    """Whose place it has, from 1; a copy has the place of the one that it replaces."""

    until: int
    """Step at which it waits for the others, to be compared with them."""

    paused_at: int = 0
    """Step that it has come to, and waits at."""

    parent: str = ""
    """The trial that it is a copy of; empty for the first of a member."""

    parent_step: int = 0
    """Steps that the parent had done then."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has come as far as it was to come."""
        return self.paused_at >= self.until


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One training of a search."""

    name: str
    """Of its run."""

    number: int
    """The how-manieth it is, from 1."""

    values: Values
    status: Status
    reason: str = ""
    """Why it was refused, stopped or failed, in a line."""

    figures: TrialFigures | None = None
    weights_sha256: str = ""
    life: Life | None = None
    """Where a population is bred."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ENDED

    def as_json(self) -> dict[str, Any]:
        """As it is kept, and told."""
        return asdict(self)


def trial_of(plain: Mapping[str, Any]) -> Trial:
    """A trial as it was kept."""
    figures, life = plain["figures"], plain.get("life")
    parts = {
        "figures": figures and TrialFigures(**figures),
        "life": life and Life(**life),
    }
    return Trial(**{**plain, **parts})
