"""What a trial is told, as it travels."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.cluster.handout import Course
from orchestrator.cluster.prepared import Prepared
from orchestrator.config.job import Job
from orchestrator.data.index import Index
from orchestrator.plan.steps import Part


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """A trial's job with its indexes, as it travels: they lie on the head's disk."""

    job: Job
    folders: dict[Part, Path]
    courses: dict[Part, Course]
    until: int | None = None
    """Step at which it pauses; None: never."""
    begun_at: int = 0
    """Steps that it was copied with."""

    @classmethod
    def of(cls, prepared: Prepared, until: int | None = None, begun_at: int = 0) -> "TrialSpec":
        """What the driver has prepared."""
        folders = {part: index.folder for part, index in prepared.indexes.items()}
        return cls(prepared.job, folders, prepared.courses, until, begun_at)

    def prepared(self) -> Prepared:
        """The same again, on the head."""
        indexes = {part: Index.open(folder) for part, folder in self.folders.items()}
        return Prepared(self.job, indexes, self.courses)
