"""A job with its indexes: what there is to plan, and what the hand-out is to render.

Kept light: whoever only follows a training loads none of what indexing takes.
"""

from dataclasses import dataclass

from orchestrator.cluster.handout import Course
from orchestrator.config.job import Job
from orchestrator.data.index import Index
from orchestrator.data.shards import ShardMap
from orchestrator.plan.steps import Part


@dataclass(frozen=True, slots=True)
class Prepared:
    """A resolved job, and what was found or built for it."""

    job: Job
    indexes: dict[Part, Index]
    courses: dict[Part, Course]

    def num_steps(self, part: Part) -> int:
        """Optimizer steps, or pieces of an evaluation; 0 without such data."""
        return self.courses[part].open()[1].num_steps if part in self.courses else 0

    @property
    def micro_tokens(self) -> int:
        """The token budget in use."""
        budget: int = self.courses["train"].plan["micro_tokens"]
        return budget

    @property
    def identity(self) -> str:
        """Equal where all samples are, and what they are read from at which size."""
        copies = [course.shards for course in self.courses.values() if course.shards]
        return " ".join(
            [index.summary.fingerprint for index in self.indexes.values()]
            + [ShardMap.open(folder).summary.pixels for folder in copies]
        )
