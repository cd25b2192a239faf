"""Build a job's indexes, and plan what is to be rendered of them."""

from collections.abc import Callable
from typing import Any

from orchestrator.cluster.handout import Course
from orchestrator.cluster.indexing import build_index
from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.resizing import resize_media
from orchestrator.cluster.resolving import longest_allowed, settle
from orchestrator.cluster.tasks import IndexSpec
from orchestrator.config.data import DataSource
from orchestrator.config.job import Job
from orchestrator.data.index import Index
from orchestrator.plan.mix import Mix, Share
from orchestrator.plan.steps import Part

Progress = Callable[[int, str], None]

EVAL_BATCH = 64
"""Held-out samples scored in one round."""


def prepare(job: Job, progress: Progress | None = None) -> Prepared:
    """Build or find the indexes of a resolved job. A Ray session is open.

    Args:
        job: The resolved job.
        progress: Told of what how many are done: rows, or images written at the job's size.

    Raises:
        DataError: A file cannot be read, or not one row of it can be used.
        ModelError: The model's tokenizer or processor cannot be used.
        StorageError: A store did not answer.
        ConfigError: ``train.micro_tokens`` is auto, and not one sample fits a device.
    """
    tell = progress or (lambda _num, _what: None)
    parts: list[Part] = ["train", "eval"] if job.data.held_out else ["train"]
    indexes = {
        part: build_index(job, part, progress=lambda done: tell(done, "rows")).index
        for part in parts
    }
    micro_tokens = settle(job, indexes.values())
    courses = {
        part: course(job, part, index, micro_tokens, lambda done: tell(done, "images resized"))
        for part, index in indexes.items()
    }
    return Prepared(job, indexes, courses)


def course(
    job: Job,
    part: Part,
    index: Index,
    micro_tokens: int,
    progress: Callable[[int], None] | None = None,
) -> Course:
    """What is rendered of one index, in which order, and from which copies of its images."""
    renderer = IndexSpec.of(job, part, longest_allowed(job)).renderer()
    copies = resize_media(job, index, renderer, progress) if job.images.pre_resized else None
    return Course(
        index_dir=index.folder,
        plan=_plan(job, part, index, micro_tokens),
        spec=renderer,
        shards=copies.folder if copies else None,
    )


def _plan(job: Job, part: Part, index: Index, micro_tokens: int) -> dict[str, Any]:
    recipe = job.train
    learned = part == "train"
    weights = [source.weight if learned else 1.0 for source in _sources(job, part)]
    shares = zip(index.summary.by_source, weights, strict=True)
    return {
        "epochs": recipe.epochs if learned else 1,
        "global_batch": recipe.global_batch if learned else EVAL_BATCH,
        "micro_tokens": micro_tokens,
        "seed": recipe.seed if learned else None,
        "mix": Mix(tuple(Share(num_samples, weight) for num_samples, weight in shares)),
    }


def _sources(job: Job, part: Part) -> tuple[DataSource, ...]:
    return job.data.training if part == "train" else job.data.held_out
