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

    @classmethod
    def of(cls, prepared: Prepared) -> "TrialSpec":
        """What the driver has prepared."""
        folders = {part: index.folder for part, index in prepared.indexes.items()}
        return cls(prepared.job, folders, prepared.courses)

    def prepared(self) -> Prepared:
        """The same again, on the head."""
        indexes = {part: Index.open(folder) for part, folder in self.folders.items()}
        return Prepared(self.job, indexes, self.courses)
