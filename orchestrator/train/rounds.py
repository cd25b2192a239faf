"""What comes next in a training, as a pure function of where it stands."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.train.state import Progress


@dataclass(frozen=True, slots=True)
class Terms:
    """The numbers of a job that decide what comes when."""

    num_steps: int
    eval_pieces: int
    """Pieces of one evaluation; 0 where the job has no held-out data."""
    eval_every_steps: int | None
    """None evaluates once, after the last step."""
    until: int | None = None
    """Pause after this step, and its evaluation if it is due; None: go on to the end."""

    @property
    def last_step(self) -> int:
        """The step after which nothing more is trained for now."""
        return self.num_steps if self.until is None else min(self.until, self.num_steps)


@dataclass(frozen=True, slots=True)
class TrainStep:
    """Compute and apply one optimizer step."""

    step: int


@dataclass(frozen=True, slots=True)
class EvalPiece:
    """Score one piece of the held-out data."""

    piece: int


@dataclass(frozen=True, slots=True)
class Done:
    """All steps that were asked for are trained and evaluated."""


Task = TrainStep | EvalPiece | Done


def next_task(progress: "Progress", terms: Terms) -> Task:
    """Say what all replicas with this progress do next."""
    if _evaluation_is_due(progress, terms):
        return EvalPiece(progress.eval_step)
    if progress.step < terms.last_step:
        return TrainStep(progress.step)
    return Done()


def _evaluation_is_due(progress: "Progress", terms: Terms) -> bool:
    if terms.eval_pieces == 0 or progress.evaluated_at >= progress.step:
        return False
    every = terms.eval_every_steps
    on_the_way = every is not None and progress.step > 0 and progress.step % every == 0
    return on_the_way or progress.step == terms.num_steps
