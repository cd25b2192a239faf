"""The base: a language model that reads whole pictures, from which every method starts.

It stands for the model that a user has. It is taught in stages, few pictures and one new thing
at a time: all at once would take it many times as long to find out what is asked.

Letters: S samples, N pictures of a sample, L tokens of a sample's pictures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.bench.fusion.encoder import Encoder
from tests.bench.fusion.methods import Full
from tests.bench.fusion.model import Answerer
from tests.bench.fusion.skills import REMARKS, SKILLS
from tests.bench.fusion.tasks import FEWEST, TASKS
from tests.bench.fusion.train import Batch, Student, batch_of
from tests.bench.fusion.world import Ints

RATE: Final = 2e-3
WARM: Final = 50
"""Steps until a stage has its rate."""
SAYING: Final = {**TASKS, **SKILLS}


@dataclass(frozen=True)
class Stage:
    """Some steps with fewest to most pictures, and so many samples of each kind."""

    steps: int
    images: tuple[int, int]
    samples: Mapping[str, int]
    rate: float = RATE


STAGES: Final = {
    "difference": (
        Stage(900, (2, 2), {"changes": 16}),
        Stage(600, (2, 3), {"changes": 12, "difference": 16}),
        Stage(600, (2, 8), {"changes": 8, "difference": 24}),
    ),
    "order": (Stage(600, (2, 3), {"order": 32}), Stage(600, (2, 8), {"order": 32})),
    "count": (Stage(800, (2, 3), {"count": 32}), Stage(600, (2, 8), {"count": 32})),
    "odd": (
        Stage(900, (2, 2), {"changes": 16}),
        Stage(600, (3, 3), {"changes": 8, "odd": 24, "which": 8}),
        Stage(600, (3, 8), {"odd": 32}),
    ),
    "needle": (Stage(600, (2, 2), {"needle": 32}), Stage(400, (2, 8), {"needle": 32})),
}

Watch = Callable[[int, str, float, float], None]


def teach(task: str, seed: int, encoder: Encoder, watch: Watch | None = None) -> Answerer:
    """Train a base for one task from nothing."""
    torch.manual_seed(seed)
    student = Student(Full(), Answerer())
    optimizer = torch.optim.AdamW(
        student.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    for number, stage in enumerate(STAGES[task]):
        for step in range(stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * min(1.0, (step + 1) / WARM)
            rng = np.random.default_rng((seed, 0xBA5E, number, step))
            loss = _loss(student, encoder, rng, stage, watch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
    return student.model


def _loss(
    student: Student,
    encoder: Encoder,
    rng: np.random.Generator,
    stage: Stage,
    watch: Watch | None,
) -> Tensor:
    images = int(rng.integers(stage.images[0], stage.images[1] + 1))
    samples = {
        name: count for name, count in stage.samples.items() if FEWEST.get(name, 2) <= images
    }
    losses = []
    for name in samples.keys() & REMARKS.keys():
        group, said_SNC = REMARKS[name](rng, samples.pop(name), images)
        losses.append(_loss_of_remarks(student, encoder, batch_of(rng, [group]), said_SNC))
    if samples:
        groups = [SAYING[name](rng, count, images) for name, count in samples.items()]
        batch = batch_of(rng, groups)
        logits_SV = student(encoder, batch)
        losses.append(functional.cross_entropy(logits_SV, batch.answers_S))
        if watch is not None:
            right_S = (logits_SV.argmax(1) == batch.answers_S).float()
            for name, right in zip(samples, right_S.split(list(samples.values())), strict=True):
                watch(images, name, float(right.mean()), 0)
    return torch.stack(losses).sum()


def _loss_of_remarks(
    student: Student, encoder: Encoder, batch: Batch, said_SNC: Ints
) -> Tensor:
    """What is said at the pictures' tokens themselves."""
    said_SL = torch.from_numpy(said_SNC).flatten(1)
    logits_SVL = student.model.remark(student.look(encoder, batch)).transpose(1, 2)
    return functional.cross_entropy(logits_SVL, said_SL, ignore_index=-1)
