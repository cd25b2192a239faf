"""What a run is held to and how it ends, in words that journal, workers and driver share."""

import traceback
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.errors import OrchestratorError
from orchestrator.tracking.events import Event


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: its own error, in the words of the worker that met it."""

    kind: str
    problem: str
    where: str
    fix: str
    traceback: str
    detailed: bool
    """False where a worker only heard that another one has found something."""

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Put an error that is being handled into words that travel."""
        text = traceback.format_exc()
        if isinstance(error, OrchestratorError):
            detailed = "on another worker" not in error.problem
            name = type(error).__name__
            return cls(name, error.problem, error.where, error.fix, text, detailed)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return cls(
            kind="JobError",
            problem=f"{type(error).__name__}: {error}",
            where=f"{frame.filename}:{frame.lineno}",
            fix="The whole traceback is in the run's failure.txt",
            traceback=text,
            detailed=True,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run ended, or this part of it."""

    status: Literal["finished", "paused", "failed"]
    weights_sha256: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the manifest freezes beside the numeric class of the first machine."""

    job: dict[str, Any]
    index_fingerprint: str
    micro_tokens: int
    allow_mixed: bool
    generation: int
    """The lease's: one a driver that trains this run."""
    cells: tuple[int, int] = (1, 1)
    """The least and the most that train."""


def failure_of(event: Event) -> Failure:
    """A failure as the log has it."""
    return Failure(
        kind=str(event["error"]),
        problem=str(event["reason"]),
        where=str(event["where"]),
        fix=str(event["fix"]),
        traceback=str(event["traceback"]),
        detailed=event["detailed"] is True,
    )
