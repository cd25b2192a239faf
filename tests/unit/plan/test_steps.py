"""The steps of a training."""

import time
from collections import Counter

import numpy as np
import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.steps import Plan


def make_plan(num_samples: int = 50, *, epochs: int = 2, seed: int | None = 0) -> Plan:
    tokens_N = np.random.default_rng(1).integers(10, 300, num_samples).astype(np.int32)
    return Plan(
        tokens_N=tokens_N,
        cost_N=tokens_N.astype(np.float32),
        epochs=epochs,
        global_batch=8,
        micro_tokens=512,
        seed=seed,
    )


def test_every_sample_is_used_once_an_epoch_and_the_last_step_is_short() -> None:
    plan = make_plan()
    for epoch in range(2):
        steps = [step for step in plan.steps_from(0) if step.epoch == epoch]
        used = Counter(
            sample for step in steps for micro in step.micros for sample in micro.samples
        )
        assert used == Counter(range(50))
        assert sum(len(micro.samples) for micro in steps[-1].micros) == 2


def test_a_step_is_the_same_whoever_asks_and_whenever() -> None:
    assert list(make_plan().steps_from(9)) == [make_plan().step(n) for n in range(9, 14)]


def test_without_a_seed_the_order_of_the_index_is_kept() -> None:
    plan = make_plan(epochs=1, seed=None)
    samples = [s for step in plan.steps_from(0) for m in step.micros for s in m.samples]
    assert sorted(samples[:8]) == list(range(8))


def test_a_micro_batch_knows_its_tokens_and_its_cost() -> None:
    plan = make_plan()
    for micro in plan.step(3).micros:
        assert micro.tokens == plan.tokens_N[list(micro.samples)].sum()
        assert micro.cost == pytest.approx(plan.cost_N[list(micro.samples)].sum())


@pytest.mark.parametrize("step", [-1, 14])
def test_a_step_outside_the_training_is_refused(step: int) -> None:
    with pytest.raises(PlanError):
        make_plan().step(step)


def test_the_cost_of_a_step_does_not_grow_with_the_data_set() -> None:
    """Broadcast columns stand for a hundred million samples without holding them."""
    num_samples = 100_000_000
    ones = np.broadcast_to(np.int32(100), (num_samples,))
    plan = Plan(ones, ones, epochs=1, global_batch=64, micro_tokens=4096, seed=0)
    started = time.process_time()
    plan.step(plan.num_steps - 1)
    # A thousandth of what it would take to shuffle the whole: no timing, an order.
    assert time.process_time() - started < 0.5
