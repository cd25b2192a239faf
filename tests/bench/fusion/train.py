"""Train one model: first a base that reads whole pictures, then from it one method of the study.

The base stands for the model that a user has: it can look at several pictures, at full price.
From the same base each method is trained on for equally many steps, all of the language model
and all of the method's own parameters, with equally many of both together.

Letters: S samples, N pictures of a sample, T words of a question.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.bench.fusion.encoder import Encoder
from tests.bench.fusion.methods import METHODS, See
from tests.bench.fusion.model import Answerer, Tokens
from tests.bench.fusion.tasks import FEWEST, TASKS, Group
from tests.bench.fusion.world import draw

BASE_STEPS: Final = 4000
STEPS: Final = 1500
SAMPLES: Final = 8
"""Of each task in a step."""
IMAGES: Final = (2, 8)
"""Fewest and most pictures of a sample in training; one number for all of a step."""
RATE: Final = 2e-3


@dataclass(frozen=True)
class Batch:
    """Pictures, questions and answers as tensors."""

    pixels_SN3HW: Tensor
    marks_SN: Tensor
    questions_ST: Tensor
    answers_S: Tensor


def batch_of(rng: np.random.Generator, groups: list[Group]) -> Batch:
    """Draw the pictures of groups with equally many each, and put them into one batch."""
    pixels = [torch.from_numpy(draw(rng, group.scenes)) for group in groups]
    return Batch(
        torch.cat(pixels),
        torch.from_numpy(np.concatenate([group.marks_SN for group in groups])),
        torch.from_numpy(np.concatenate([group.questions_ST for group in groups])),
        torch.from_numpy(np.concatenate([group.answers_S for group in groups])),
    )


def training_batch(rng: np.random.Generator, images: int) -> Batch:
    """Samples of all tasks that are possible with so many pictures."""
    names = [name for name in TASKS if FEWEST.get(name, 2) <= images]
    samples = SAMPLES * len(TASKS) // len(names)
    return batch_of(rng, [TASKS[name](rng, samples, images) for name in names])


class Student(nn.Module):
    """A method and the language model that reads what it makes."""

    def __init__(self, method: nn.Module, model: Answerer) -> None:
        super().__init__()
        self.method, self.model = method, model

    def look(self, encoder: Encoder, batch: Batch) -> Tokens:
        see = See(encoder, batch.pixels_SN3HW, batch.marks_SN)
        tokens: Tokens = self.method(see, self.model.word(batch.questions_ST))
        return tokens

    def forward(self, encoder: Encoder, batch: Batch) -> Tensor:
        logits: Tensor = self.model(self.look(encoder, batch), batch.questions_ST)
        return logits


def train(
    student: Student,
    encoder: Encoder,
    batches: Iterator[Batch],
    *,
    steps: int,
    watch: Callable[[int, float], None] | None = None,
) -> None:
    """The same for every method: AdamW, one warm-up, and down to nothing on a cosine."""
    optimizer = torch.optim.AdamW(
        student.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * _share_of_rate(step, steps)
        batch = next(batches)
        loss = functional.cross_entropy(student(encoder, batch), batch.answers_S)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        if watch is not None:
            watch(step, float(loss.detach()))


def _share_of_rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / (0.05 * steps))
    return warm * 0.5 * (1 + math.cos(math.pi * step / steps))
