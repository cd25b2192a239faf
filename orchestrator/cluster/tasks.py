"""What Ray runs on any node: the bodies of indexing and rendering tasks.

A rendering task imports neither torch nor transformers: they are loaded where they are used.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import ray

from orchestrator.config.images import ImageBudget
from orchestrator.config.job import Job
from orchestrator.data.coder import ImageCoder
from orchestrator.data.measure import MeasureSettings, measure_table
from orchestrator.data.render import render_table


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """What a rendering task needs beside its rows; a few hundred bytes."""

    coder: ImageCoder
    media_dir: Path


def render(requests: pa.Table, *, spec: RenderSpec) -> pa.Table:
    """Render requested micro-batches, one row in, one row out."""
    return render_table(requests, spec.coder, spec.media_dir)


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def render_alone(request: pa.Table, spec: RenderSpec) -> pa.Table:
    """Render one micro-batch outside of any pipeline."""
    return render(request, spec=spec)


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What an indexing task needs beside its records; hashable: a process loads once."""

    source: str
    media_dir: Path
    model: str
    revision: str | None
    images: ImageBudget
    micro_tokens: int

    @classmethod
    def of(cls, job: Job, source: str, media_dir: str) -> "IndexSpec":
        """The part of a resolved job that its index depends on."""
        return cls(
            source=source,
            media_dir=Path(media_dir),
            model=job.model.path,
            revision=job.model.revision,
            images=job.images,
            micro_tokens=job.train.micro_tokens,
        )

    @lru_cache(maxsize=4)  # noqa: B019 - the specs of a process are few and live as long as it
    def settings(self) -> MeasureSettings:
        """Load the tokenizer and the processor's arithmetic: seconds, once a process."""
        from orchestrator.data.chat import ChatEncoder  # noqa: PLC0415 - keeps rendering light
        from orchestrator.models.loading import load_tokenizer  # noqa: PLC0415
        from orchestrator.models.processor import image_coder  # noqa: PLC0415

        return MeasureSettings(
            source=self.source,
            media_dir=self.media_dir,
            coder=image_coder(self.model, self.images, self.revision),
            chat=ChatEncoder(load_tokenizer(self.model, self.revision)),
            max_images=self.images.max_images,
            micro_tokens=self.micro_tokens,
        )


def measure(records: pa.Table, *, spec: IndexSpec) -> pa.Table:
    """Measure a block of records."""
    return measure_table(records, spec.settings())
