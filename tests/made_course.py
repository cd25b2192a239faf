"""A course whose pictures are made up as they are loaded, and tell that they were."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.cluster.handout import Course
from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.media.medium import ImageSize, Probed, Targets
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.render import Renderer
from orchestrator.data.rows import RenderMedium
from orchestrator.models.qwen import QwenImages
from orchestrator.plan.mix import Mix, Share
from tests.made_index import make_index

BATCH = 4
"""Micro-batches of a step, each of one sample."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A picture of one colour, which its name says; each loading leaves a line in a file."""

    told: Path
    work_s: float = 0.0

    def probe(self, content: Content, /) -> Probed:
        del content
        return Probed((ImageSize(28, 28),))

    def cost(self, probed: Probed, coder: ImageCoder, /) -> Targets:
        return tuple(coder.target_size(size.height, size.width) for size in probed.pictures)

    def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
        # Appended at once: lines of several processes do not mix.
        with self.told.open("a") as lines:
            lines.write(f"{content.name}\n")
        time.sleep(self.work_s)
        return [np.full((h, w, 3), int(content.name) % 256, np.uint8) for h, w in targets]

    def num_loaded(self) -> int:
        """Pictures loaded so far, by all processes."""
        return len(self.told.read_text().splitlines()) if self.told.exists() else 0


def make_course(
    folder: Path, num_samples: int, side: int = 28, work_s: float = 0.0
) -> tuple[Course, Telling]:
    """One epoch of samples of one square picture each.

    Args:
        folder: Where the index is written.
        num_samples: As many micro-batches there are.
        side: Of a picture, in pixels.
        work_s: What it takes to load one.
    """
    medium = Telling(folder / "told.txt", work_s)
    samples = [
        [RenderMedium("image", Location(f"/made/{number}"), ((side, side),))]
        for number in range(num_samples)
    ]
    index = make_index(folder / "index", samples)
    coder = QwenImages(
        patch=14,
        merge=2,
        temporal=2,
        min_pixels=784,
        max_pixels=side * side,
        rescale=1 / 255,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    plan = {
        "epochs": 1,
        "global_batch": BATCH,
        "micro_tokens": int(index.tokens_N.max()),
        "seed": 3,
        "mix": Mix((Share(num_samples, 1.0),)),
    }
    return Course(index.folder, plan, Renderer(coder, {"image": medium})), medium


def colours(batch: MicroBatch) -> list[int]:
    """What the pictures of a micro-batch are made of."""
    return np.unique(batch.patches_PD).tolist()
