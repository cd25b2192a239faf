"""A model and data so small that a whole training takes a moment.

Letters: S samples of a micro-batch.
"""

import hashlib
import struct
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from orchestrator.config.train import TrainConfig
from orchestrator.data.micro_batch import Fault, MicroBatch
from orchestrator.plan.steps import Address, Part, Plan, StepPlan
from orchestrator.train.contracts import Deal, Learner, Score
from orchestrator.train.rounds import Terms

NUM_SAMPLES = 14
EPOCHS = 2
TRAIN_PLAN = Plan(
    tokens_N=np.array([10 + 7 * (n % 5) for n in range(NUM_SAMPLES)]),
    cost_N=np.array([1.0 + n % 3 for n in range(NUM_SAMPLES)]),
    epochs=EPOCHS,
    global_batch=6,
    micro_tokens=40,
    seed=3,
)
EVAL_PLAN = Plan(
    tokens_N=np.full(9, 20),
    cost_N=np.ones(9),
    epochs=1,
    global_batch=5,
    micro_tokens=40,
    seed=None,
)
CONFIG = TrainConfig(epochs=EPOCHS, learning_rate=0.05, warmup_fraction=0.3, weight_decay=0.1)
TERMS = Terms(
    num_steps=TRAIN_PLAN.num_steps, eval_pieces=EVAL_PLAN.num_steps, eval_every_steps=3
)


@dataclass(frozen=True)
class PlannedBatches:
    """``train.contracts.Batches``: with nothing in them but what the plan says."""

    broken: frozenset[int] = frozenset()
    """Samples of the training data whose slots are empty."""
    plan: Plan = TRAIN_PLAN

    def step_plan(self, part: Part, step: int) -> StepPlan:
        return (self.plan if part == "train" else EVAL_PLAN).step(step)

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch:
        planned = plan.micros[micro].samples
        gone = self.broken if part == "train" else frozenset()
        present = tuple(sample for sample in planned if sample not in gone)
        return MicroBatch(
            address=plan.address(micro),
            samples=present,
            ids=tuple(f"id{sample}" for sample in present),
            faults=tuple(Fault(s, f"id{s}", "cut short") for s in planned if s in gone),
            ids_L=np.zeros(2 * sum(map(label_tokens, present)), dtype=np.int32),
            labels_L=np.tile([False, True], sum(map(label_tokens, present))),
            lengths_S=np.array([2 * label_tokens(s) for s in present], dtype=np.int32),
            images_S=np.zeros(len(present), dtype=np.int32),
            grids_I3=np.zeros((0, 3), dtype=np.int32),
            patches_PD=np.zeros((0, 0), dtype=np.uint8),
        )

    def expect(self, part: Part, step: int, deal: Deal) -> None:
        assert all(micro >= 0 for micro in deal(self.step_plan(part, step)))


def label_tokens(sample: int) -> int:
    return 1 + sample % 3


def features(samples: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Inputs [S, 4] and targets [S], each from the sample's number alone."""
    numbers_S = torch.tensor(samples, dtype=torch.float32)
    inputs_S4 = torch.sin(numbers_S[:, None] * torch.tensor([0.3, 0.7, 1.1, 1.9]))
    return inputs_S4, torch.cos(numbers_S * 0.5)


def new_tensors() -> dict[str, Parameter]:
    """Weights as every cell starts with; ``b`` at zero, like a fresh adapter's."""
    generator = torch.Generator().manual_seed(7)
    return {
        "a": Parameter(torch.randn(4, 6, generator=generator)),
        "b": Parameter(torch.zeros(6, 1)),
    }


@dataclass
class SmallLearner:
    """Two layers with dropout in between: ``train.contracts.Learner``."""

    tensors: dict[str, Parameter]
    poison: tuple[Address, str] | None = None
    """A micro-batch after which this tensor's gradient has NaN in it."""
    taken: list[tuple[int, ...]] = field(default_factory=list)
    """Samples of every micro-batch that was computed."""

    def loss(self, batch: MicroBatch, *, dropout: bool) -> Tensor:
        inputs_S4, targets_S = features(batch.samples)
        hidden_S6 = torch.tanh(inputs_S4 @ self.tensors["a"])
        if dropout:
            content = struct.pack("<3q", *batch.address)
            seed = int.from_bytes(hashlib.sha256(content).digest()[:7], "little")
            # A generator of its own: cells are threads here, and share torch's.
            generator = torch.Generator().manual_seed(seed)
            hidden_S6 = hidden_S6 * (torch.rand(hidden_S6.shape, generator=generator) > 0.2)
        return (hidden_S6 @ self.tensors["b"] - targets_S[:, None]).square().sum()

    def backward(self, batch: MicroBatch) -> float:
        self.taken.append(batch.samples)
        loss = self.loss(batch, dropout=True)
        loss.backward()
        if self.poison and self.poison[0] == batch.address:
            gradient = self.tensors[self.poison[1]].grad
            assert gradient is not None
            gradient[0, 0] = torch.nan
        return float(loss.detach())

    def score(self, batch: MicroBatch) -> Score:
        with torch.no_grad():
            loss = float(self.loss(batch, dropout=False))
        correct = sum(sample % 2 for sample in batch.samples)
        return Score(loss, batch.label_tokens, len(batch.samples), correct)


@dataclass
class Cramped:
    """A learner whose memory runs out once a gradient is half made."""

    learner: Learner
    room: int
    """Samples that it has memory for."""
    error: Exception = field(default_factory=MemoryError)
    tried: list[tuple[int, ...]] = field(default_factory=list)
    """Samples of all that it was asked to do."""

    def backward(self, batch: MicroBatch) -> float:
        self.tried.append(batch.samples)
        loss = self.learner.backward(batch)
        if len(batch.samples) > self.room:
            raise self.error
        return loss

    def score(self, batch: MicroBatch) -> Score:
        self.tried.append(batch.samples)
        if len(batch.samples) > self.room:
            raise self.error
        return self.learner.score(batch)
