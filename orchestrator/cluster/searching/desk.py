"""Where a trial finds what it is to train: Ray Tune hands on no more than a name.

What Tune is given it copies, prints, and writes to files; a job with its index is none of that.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cluster.handout import Course
from orchestrator.cluster.prepare import Prepared
from orchestrator.config.job import Job
from orchestrator.data.index import Index
from orchestrator.plan.steps import Part


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """A trial's job with its indexes, as it travels: they lie on the head's disk."""

    job: Job
    folders: dict[Part, Path]
    courses: dict[Part, Course]

    @classmethod
    def of(cls, prepared: Prepared) -> "TrialSpec":
        """What the driver has prepared."""
        folders = {part: index.folder for part, index in prepared.indexes.items()}
        return cls(prepared.job, folders, prepared.courses)

    def prepared(self) -> Prepared:
        """The same again, on the head."""
        indexes = {part: Index.open(folder) for part, folder in self.folders.items()}
        return Prepared(self.job, indexes, self.courses)


class Desk:
    """An actor that keeps references by name."""

    def __init__(self) -> None:
        self._specs: dict[str, list[Any]] = {}

    def put(self, trial: str, spec: list[Any]) -> None:
        """Keep a reference, in a list so that Ray hands on the reference itself."""
        self._specs[trial] = spec

    def get(self, trial: str) -> list[Any]:
        """The reference."""
        return self._specs[trial]
