"""How often a trained student is right, on samples that no training has seen.

Letters: S samples, N pictures of a sample.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from tests.bench.fusion.encoder import Encoder
from tests.bench.fusion.tasks import FEWEST, TASKS, Group, shuffled, swapped
from tests.bench.fusion.train import Batch, Student, batch_of

TEST_IMAGES: Final = (2, 4, 8, 16, 32)
BAR_IMAGES: Final = 8
"""Where methods are compared."""
TEST_SAMPLES: Final = 512
"""The same for all methods and seeds."""
PIECE: Final = 64
"""Samples at once."""
Bools = NDArray[np.bool_]
Change = Callable[[np.random.Generator, Group], Group]
CONTROLS: Final[dict[str, Change]] = {
    "shuffled": shuffled,
    "swapped": lambda _, group: swapped(group),
}


@dataclass(frozen=True)
class Scored:
    """One test."""

    is_right_S: Bools
    lm_tokens: float
    """Of a sample's pictures, on average."""

    @property
    def accuracy(self) -> float:
        """From 0 to 1."""
        return float(self.is_right_S.mean())


def sizes_of(task: str) -> list[int]:
    """Numbers of pictures that a task is tested with."""
    return [images for images in TEST_IMAGES if images >= FEWEST.get(task, 2)]


@torch.no_grad()
def score(
    student: Student, encoder: Encoder, task: str, images: int, control: str | None = None
) -> Scored:
    """Ask a student all questions of a test."""
    torch.manual_seed(images)
    rights, tokens = [], []
    for piece in range(TEST_SAMPLES // PIECE):
        batch = piece_of_test(task, images, piece, control)
        seen = student.look(encoder, batch)
        tokens.append(seen.per_sample())
        said_S = student.model(seen, batch.questions_ST).argmax(1)
        rights.append((said_S == batch.answers_S).numpy())
    return Scored(np.concatenate(rights), float(np.mean(tokens)))


@cache
def piece_of_test(task: str, images: int, piece: int, control: str | None) -> Batch:
    """Some samples of a test; training never draws from these seeds. Kept."""
    rng = np.random.default_rng((0x7E57, list(TASKS).index(task), images, piece))
    group = TASKS[task](rng, PIECE, images)
    return batch_of(rng, [CONTROLS[control](rng, group) if control else group])


def packed(is_right_S: Bools) -> str:
    """Rights and wrongs as text, for pairing them later."""
    return base64.b64encode(np.packbits(is_right_S).tobytes()).decode("ascii")


def unpacked(text: str) -> Bools:
    """What ``packed`` was given."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(np.bool_)
