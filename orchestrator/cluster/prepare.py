"""A job with its indexes: what there is to plan, and what the hand-out is to render."""

from dataclasses import dataclass
from typing import Any

from orchestrator.cluster.handout import Course
from orchestrator.cluster.indexing import Progress, build_index
from orchestrator.cluster.tasks import IndexSpec, RenderSpec
from orchestrator.config.data import DataSource
from orchestrator.config.job import Job
from orchestrator.data.index import Index
from orchestrator.plan.steps import Part

EVAL_BATCH = 64
"""Held-out samples scored in one round."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A resolved job, and what was found or built for it."""

    job: Job
    indexes: dict[Part, Index]
    courses: dict[Part, Course]

    def num_steps(self, part: Part) -> int:
        """Optimizer steps, or pieces of an evaluation; 0 without such data."""
        return self.courses[part].open()[1].num_steps if part in self.courses else 0


def prepare(job: Job, progress: Progress | None = None) -> Prepared:
    """Build or find the indexes of a resolved job. A Ray session is open.

    Raises:
        DataError: A file cannot be read, or not one row of it can be used.
        ModelError: The model's tokenizer or processor cannot be used.
    """
    sources: dict[Part, DataSource] = {"train": job.data.train}
    if job.data.eval is not None:
        sources["eval"] = job.data.eval
    indexes = {
        part: build_index(job, source, progress=progress).index
        for part, source in sources.items()
    }
    courses = {
        part: course(job, part, source, indexes[part]) for part, source in sources.items()
    }
    return Prepared(job, indexes, courses)


def course(job: Job, part: Part, source: DataSource, index: Index) -> Course:
    """What is rendered of one index, in which order."""
    spec = IndexSpec.of(job, source.path, source.media_folder)
    rendering = RenderSpec(coder=spec.settings().coder, media_dir=spec.media_dir)
    return Course(index_dir=index.folder, plan=_plan(job, part), spec=rendering)


def _plan(job: Job, part: Part) -> dict[str, Any]:
    recipe = job.train
    shuffled = part == "train"
    return {
        "epochs": recipe.epochs if shuffled else 1,
        "global_batch": recipe.global_batch if shuffled else EVAL_BATCH,
        "micro_tokens": recipe.micro_tokens,
        "seed": recipe.seed if shuffled else None,
    }
