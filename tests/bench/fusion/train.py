"""Train one method on one task, from a base that reads whole pictures.

All of the language model is trained and all of the method, with equally many numbers of both
together, for equally many steps on the same samples.

Letters: S samples, N pictures of a sample, T words of a question.
"""

import copy
import math
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.bench.fusion.encoder import Encoder
from tests.bench.fusion.layers import num_parameters
from tests.bench.fusion.methods import METHODS, Pictures, See
from tests.bench.fusion.model import Answerer, Tokens
from tests.bench.fusion.tasks import FEWEST, TASKS, Group
from tests.bench.fusion.world import draw

STEPS: Final = 800
SAMPLES: Final = 32
"""Of a step."""
MOST_IMAGES: Final = 8
"""Pictures of a sample in training: from as few as the task allows; one number for a step."""
RATE: Final = 2e-3
PARAMETERS: Final = 250_000
"""Of a language model and a method together; what a method lacks, the model gets."""


@dataclass(frozen=True)
class Batch:
    """Pictures, and questions and answers as tensors."""

    pictures: Pictures
    marks_SN: Tensor
    questions_ST: Tensor
    answers_S: Tensor


class Student(nn.Module):
    """A method and the language model that reads what it makes."""

    def __init__(self, method: nn.Module, model: Answerer) -> None:
        super().__init__()
        self.method, self.model = method, model

    def look(self, encoder: Encoder, batch: Batch) -> Tokens:
        """What the method makes of the pictures."""
        see = See(encoder, batch.pictures, batch.marks_SN)
        tokens: Tokens = self.method(see, self.model.word(batch.questions_ST))
        return tokens

    def forward(self, encoder: Encoder, batch: Batch) -> Tensor:
        """Logits of the answers, ``[S, V]``."""
        logits: Tensor = self.model(self.look(encoder, batch), batch.questions_ST)
        return logits


@dataclass(frozen=True)
class Spent:
    """What a training took."""

    wall_s: float
    cpu_s: float
    parameters: int


def batch_of(rng: np.random.Generator, groups: list[Group]) -> Batch:
    """Put groups with equally many pictures each into one batch."""
    noise = int(rng.integers(2**63))

    def drawn() -> Tensor:
        again = np.random.default_rng(noise)
        return torch.cat([torch.from_numpy(draw(again, group.scenes)) for group in groups])

    return Batch(
        Pictures(drawn),
        torch.from_numpy(np.concatenate([group.marks_SN for group in groups])),
        torch.from_numpy(np.concatenate([group.questions_ST for group in groups])),
        torch.from_numpy(np.concatenate([group.answers_S for group in groups])),
    )


@lru_cache(maxsize=STEPS)
def training_batch(task: str, seed: int, step: int) -> Batch:
    """The samples of one step: the same for all methods, and kept for the next one."""
    rng = np.random.default_rng((seed, 0x7EAC4, list(TASKS).index(task), step))
    images = int(rng.integers(FEWEST.get(task, 2), MOST_IMAGES + 1))
    return batch_of(rng, [TASKS[task](rng, SAMPLES, images)])


def train(
    task: str, method: str, seed: int, *, encoder: Encoder, base: Answerer, steps: int = STEPS
) -> tuple[Student, Spent]:
    """The same for every method: AdamW, one warm-up, and down to nothing on a cosine."""
    torch.manual_seed(seed)
    student = Student(METHODS[method](seed), copy.deepcopy(base))
    student.model.widen(PARAMETERS - num_parameters(student))
    optimizer = torch.optim.AdamW(
        student.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    wall_s, cpu_s = time.monotonic(), time.process_time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * _share_of_rate(step, steps)
        batch = training_batch(task, seed, step)
        loss = functional.cross_entropy(student(encoder, batch), batch.answers_S)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
    spent = Spent(
        time.monotonic() - wall_s, time.process_time() - cpu_s, num_parameters(student)
    )
    return student.eval(), spent


def _share_of_rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / (0.05 * steps))
    return warm * 0.5 * (1 + math.cos(math.pi * step / steps))
