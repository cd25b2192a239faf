"""What a person should know of a job's data before training: the findings, and the page."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from orchestrator.config.job import Job
from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.index import Index
from orchestrator.data.lint.checks import lint
from orchestrator.data.lint.finding import ExampleMedium, Finding, LintLimits
from orchestrator.data.lint.page import write_page
from orchestrator.data.lint.tables import IndexTables
from orchestrator.data.media.kinds import media_kinds
from orchestrator.data.media.medium import Medium
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.errors import StorageError
from orchestrator.plan.steps import Part

_LONGEST = 240
"""Side of a thumbnail, in pixels."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found."""

    findings: tuple[Finding, ...]
    """Warnings first."""

    page: Path
    """All of it to look at, beside the index of the training data."""


def inspect(job: Job, indexes: Mapping[Part, Index], micro_tokens: int) -> Inspection:
    """Look through a job's indexes, and write the page.

    Args:
        job: The resolved job.
        indexes: Of its training data, and of its held-out data if there is any.
        micro_tokens: The token budget in use.
    """
    names = tuple(Path(source.path).name for source in job.data.training)
    train = IndexTables(indexes["train"].folder, names)
    held_out = IndexTables(indexes["eval"].folder) if "eval" in indexes else None
    limits = LintLimits(
        micro_tokens=micro_tokens,
        global_batch=job.train.global_batch,
        pre_resized=job.images.pre_resized,
    )
    findings = lint(train, held_out, limits, _content_digest)
    kinds = media_kinds(job.images, job.videos)
    page = write_page(
        train.folder, train, held_out, findings, lambda medium: _thumbnail(medium, kinds)
    )
    return Inspection(tuple(findings), page)


def _content_digest(url: str, offset: int, length: int | None) -> str | None:
    try:
        content = Content(url, Location(url, offset, length)).read()
    except (BadSampleError, StorageError, OSError):
        return None
    return hashlib.sha256(content).hexdigest()


def _thumbnail(example: ExampleMedium, kinds: Mapping[str, Medium]) -> bytes | None:
    """A small JPEG of a medium's first picture; None for what cannot be shown."""
    length = None if example.length is None or example.length < 0 else example.length
    place = Location(example.url, example.offset, length)
    content = Content(example.uri, place, example.kind)
    try:
        medium = kinds[example.kind]
        pictures = medium.probe(content).pictures
        shrink = min(1.0, _LONGEST / max(pictures[0].width, pictures[0].height))
        targets = tuple(
            (round(size.height * shrink) or 1, round(size.width * shrink) or 1)
            for size in pictures
        )
        pixels_HWC = medium.load(content, targets)[0]
    except (BadSampleError, StorageError, OSError):
        return None
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "JPEG", quality=80)
    return file.getvalue()
