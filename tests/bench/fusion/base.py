"""The base: a language model that reads whole pictures, from which every method starts.

It stands for the model that a user has. It is taught in stages, few pictures and one new thing
at a time: all at once would take it many times as long to find out what is asked.

Letters: S samples, N pictures of a sample, L tokens of a sample's pictures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.bench.fusion.encoder import Encoder
from tests.bench.fusion.methods import Full
from tests.bench.fusion.model import Answerer
from tests.bench.fusion.skills import changes, which
from tests.bench.fusion.tasks import TASKS
from tests.bench.fusion.train import Batch, Student, batch_of
from tests.bench.fusion.world import Ints

RATE: Final = 2e-3
WARM: Final = 50
"""Steps until a stage has its rate."""
CHANGES: Final = "changes"
"""Answered at the tokens of the pictures, where all else is answered after the question."""
ASKING: Final = {**TASKS, "which": which}


@dataclass(frozen=True)
class Stage:
    """Some steps with fewest to most pictures, and so many samples of each kind."""

    steps: int
    images: tuple[int, int]
    samples: Mapping[str, int]


STAGES: Final = {
    "difference": (
        Stage(900, (2, 2), {CHANGES: 16}),
        Stage(600, (2, 3), {CHANGES: 12, "difference": 16}),
        Stage(400, (2, 8), {CHANGES: 8, "difference": 24}),
    ),
    "order": (Stage(600, (2, 3), {"order": 32}), Stage(600, (2, 8), {"order": 32})),
    "count": (Stage(1200, (2, 3), {"count": 32}), Stage(1000, (2, 8), {"count": 32})),
    "odd": (
        Stage(900, (2, 2), {CHANGES: 16}),
        Stage(600, (3, 3), {CHANGES: 8, "odd": 24, "which": 8}),
        Stage(1000, (3, 8), {"odd": 32}),
    ),
    "needle": (Stage(600, (2, 2), {"needle": 32}), Stage(400, (2, 8), {"needle": 32})),
}


def teach(task: str, seed: int, encoder: Encoder) -> Answerer:
    """Train a base for one task from nothing."""
    torch.manual_seed(seed)
    student = Student(Full(), Answerer())
    optimizer = torch.optim.AdamW(
        student.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    for number, stage in enumerate(STAGES[task]):
        for step in range(stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / WARM)
            rng = np.random.default_rng((seed, 0xBA5E, number, step))
            loss = _loss(student, encoder, rng, stage)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
    return student.model


def _loss(student: Student, encoder: Encoder, rng: np.random.Generator, stage: Stage) -> Tensor:
    images = int(rng.integers(stage.images[0], stage.images[1] + 1))
    groups, losses = [], []
    for name, samples in stage.samples.items():
        if name == CHANGES:
            group, said_SNC = changes(rng, samples, images)
            batch = batch_of(rng, [group])
            losses.append(_loss_of_remarks(student, encoder, batch, said_SNC))
        else:
            groups.append(ASKING[name](rng, samples, images))
    if groups:
        batch = batch_of(rng, groups)
        losses.append(functional.cross_entropy(student(encoder, batch), batch.answers_S))
    return torch.stack(losses).sum()


def _loss_of_remarks(
    student: Student, encoder: Encoder, batch: Batch, said_SNC: Ints
) -> Tensor:
    """What is said at the pictures' tokens themselves."""
    said_SL = torch.from_numpy(said_SNC).flatten(1)
    logits_SVL = student.model.remark(student.look(encoder, batch)).transpose(1, 2)
    return functional.cross_entropy(logits_SVL, said_SL, ignore_index=-1)
