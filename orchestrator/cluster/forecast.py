"""``orchestrator plan``: what a training would do, from the index alone."""

from dataclasses import dataclass

import numpy as np

from orchestrator.cluster.prepared import Prepared
from orchestrator.plan.deal import deal_step
from orchestrator.plan.steps import Plan, StepPlan

SAMPLED_STEPS = 200
"""Steps looked at, evenly spread; all of them where a training has fewer."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A training before it is begun."""

    micro_tokens: int
    """As the job says, or as it was picked."""
    samples: int
    samples_per_epoch: int
    """Other than ``samples`` where data sets have weights."""
    quarantined: int
    steps: int
    epochs: int
    steps_per_epoch: int
    micro_batches_per_step: float
    """The accumulation that follows from ``global_batch`` and ``micro_tokens``; a mean."""
    tokens_per_step: float
    fill: float
    """Share of ``micro_tokens`` that micro-batches use; a mean."""
    balance: dict[int, float]
    """By number of workers: share of the time that they would all be busy; a mean over
    steps, from the index's costs."""
    eval_samples: int


def forecast(prepared: Prepared) -> Forecast:
    """Look at a job's plan without opening a single image."""
    course = prepared.courses["train"]
    index, plan = course.open()
    steps = sampled_steps(plan)
    micros = np.array([len(step.micros) for step in steps])
    tokens = np.array([sum(micro.tokens for micro in step.micros) for step in steps])
    held_out = prepared.indexes.get("eval")
    least, most = prepared.job.scale.workers
    return Forecast(
        micro_tokens=plan.micro_tokens,
        samples=index.num_samples,
        samples_per_epoch=plan.slots_per_epoch,
        quarantined=index.summary.num_bad,
        steps=plan.num_steps,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        micro_batches_per_step=round(float(micros.mean()), 2),
        tokens_per_step=round(float(tokens.mean()), 1),
        fill=round(float(tokens.sum() / (micros.sum() * plan.micro_tokens)), 3),
        balance={size: _balance(steps, size) for size in range(least, most + 1)},
        eval_samples=held_out.num_samples if held_out else 0,
    )


def sampled_steps(plan: Plan) -> list[StepPlan]:
    """Some steps of a training, evenly spread."""
    return [plan.step(number) for number in _spread(plan.num_steps)]


def _spread(num_steps: int) -> list[int]:
    every = max(1, num_steps // SAMPLED_STEPS)
    return list(range(0, num_steps, every))


def _balance(steps: list[StepPlan], world_size: int) -> float:
    shares = []
    for step in steps:
        hands = deal_step(step.cost_K, world_size=world_size)
        loads = [step.cost_K[hand].sum() for hand in hands]
        shares.append(sum(loads) / (world_size * max(loads)))
    return round(float(np.mean(shares)), 3)
