"""The plain way to train by several processes: sum gradients in float32, apply, save.

What the elastic and exact way is held against: the same learner, the same micro-batches dealt
alike, a process group of gloo that is up already, AdamW as torch has it.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.models.lora import trained_tensors
from orchestrator.plan.deal import deal_step
from orchestrator.train.learner import VisionLanguageLearner
from tests.bench.small_job import read_rendered


class Plain:
    """One process's training."""

    def __init__(self, job_json: str, rank: int, world_size: int) -> None:
        job = Job.model_validate_json(job_json)
        self._rank, self._world_size = rank, world_size
        self._learner = VisionLanguageLearner.load(job, torch.device("cpu"))
        self._tensors = dict(sorted(trained_tensors(self._learner.model).items()))
        self._optimizer = torch.optim.AdamW(
            self._tensors.values(), lr=job.train.learning_rate, weight_decay=0.0
        )
        self._max_norm = job.train.max_grad_norm
        self.step = self.first_step = 0
        self.loss = 0.0

    def steps(self, rendered: Path) -> Iterator[Sequence[MicroBatch]]:
        """What is left to train, a step at a time."""
        return itertools.islice(read_rendered(rendered), self.first_step, None)

    def train_step(self, batches: Sequence[MicroBatch]) -> None:
        """One optimizer step: this process's share, the sum over all, and AdamW."""
        costs_K = [float(batch.ids_L.size) for batch in batches]
        hands = deal_step(torch.tensor(costs_K).double().numpy(), world_size=self._world_size)
        loss = sum(self._learner.backward(batches[micro]) for micro in hands[self._rank])
        self.add_and_apply(loss, sum(batch.label_tokens for batch in batches))

    def add_and_apply(self, loss: float, label_tokens: int) -> None:
        """Sum the gradients over all processes in one message, and take the step."""
        parameters = list(self._tensors.values())
        flat = torch.cat(
            [
                (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1)
                for p in parameters
            ]
            + [torch.tensor([loss])]
        )
        dist.all_reduce(flat)
        flat /= max(1, label_tokens)
        sizes = [p.numel() for p in parameters]
        for parameter, part in zip(parameters, torch.split(flat[:-1], sizes), strict=True):
            parameter.grad = part.reshape(parameter.shape)
        if self._max_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, self._max_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.loss = float(flat[-1])

    def save(self, path: Path) -> None:
        """Adapter and optimizer, on the disk when it returns."""
        state = {
            "step": self.step,
            "weights": {name: tensor.detach() for name, tensor in self._tensors.items()},
            "optimizer": self._optimizer.state_dict(),
        }
        with path.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    def load(self, path: Path) -> None:
        """Go on from what ``save`` wrote."""
        state = torch.load(path, weights_only=True)
        with torch.no_grad():
            for name, tensor in self._tensors.items():
                tensor.copy_(state["weights"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = self.first_step = int(state["step"])
