"""The steps of a training."""

import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from orchestrator.plan.mix import Mix, Share
from orchestrator.plan.order import Integers
from orchestrator.plan.steps import Plan


def make_plan(
    num_samples: int = 50, *, epochs: int = 2, seed: int | None = 0, mix: Mix | None = None
) -> Plan:
    tokens_N = np.random.default_rng(1).integers(10, 300, num_samples).astype(np.int32)
    return Plan(
        tokens_N=tokens_N,
        cost_N=tokens_N.astype(np.float32),
        epochs=epochs,
        global_batch=8,
        micro_tokens=512,
        seed=seed,
        mix=mix,
    )


def samples_of_epoch(plan: Plan, epoch: int) -> Counter[int]:
    return Counter(
        sample
        for step in plan.steps_from(epoch * plan.steps_per_epoch)
        if step.epoch == epoch
        for micro in step.micros
        for sample in micro.samples
    )


def test_every_sample_is_used_once_an_epoch_and_the_last_step_is_short() -> None:
    plan = make_plan()
    for epoch in range(2):
        steps = [step for step in plan.steps_from(0) if step.epoch == epoch]
        assert samples_of_epoch(plan, epoch) == Counter(range(50))
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


def test_a_plan_comes_out_the_same_on_every_machine_and_in_every_version() -> None:
    tokens_N = np.array([100 + (n * 37) % 200 for n in range(20)])
    plan = Plan(tokens_N, tokens_N / 2, epochs=2, global_batch=8, micro_tokens=512, seed=7)
    assert [[micro.samples for micro in step.micros] for step in plan.steps_from(0)] == [
        [(15, 4), (14, 3), (13, 17, 18), (0,)],
        [(16, 19), (5, 8), (10, 2), (7, 11)],
        [(6, 12, 9), (1,)],
        [(14, 16), (19, 15), (8, 18, 12), (17,)],
        [(5, 3), (10, 13), (4, 2), (0, 1)],
        [(11, 9, 7), (6,)],
    ]


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any),
    st.none() | st.integers(0, 99),
)
def test_data_sets_of_weight_1_are_planned_as_one_data_set(
    sizes: list[int], seed: int | None
) -> None:
    mix = Mix(tuple(Share(size) for size in sizes))
    mixed, plain = (make_plan(sum(sizes), seed=seed, mix=m) for m in (mix, None))
    assert list(mixed.steps_from(0)) == list(plain.steps_from(0))


def test_an_epoch_uses_a_data_set_as_often_as_its_weight_says() -> None:
    mix = Mix((Share(30), Share(12, 2), Share(8, 0.5)))
    plan = make_plan(mix=mix)
    assert plan.slots_per_epoch == 30 + 24 + 4
    assert plan.num_steps == 2 * 8
    first, second = samples_of_epoch(plan, 0), samples_of_epoch(plan, 1)
    assert all(first[sample] == second[sample] == 1 for sample in range(30))
    assert all(first[sample] == second[sample] == 2 for sample in range(30, 42))
    assert all(first[sample] + second[sample] == 1 for sample in range(42, 50))


def test_data_sets_are_shuffled_among_each_other() -> None:
    plan = make_plan(400, mix=Mix((Share(200), Share(200, 1.5))))
    shares = [(plan.samples_of(step) < 200).mean() for step in range(plan.steps_per_epoch)]
    assert np.mean(shares) == pytest.approx(200 / 500, abs=0.03)
    # Of 8 samples in a step, none or all would be of one data set if they came in turn.
    assert np.std(shares) < 0.3


def test_a_mixed_step_is_the_same_whoever_asks_and_whenever() -> None:
    mix = Mix((Share(20, 1.3), Share(30, 0.7)))
    steps = [make_plan(mix=mix).step(number) for number in reversed(range(12))]
    assert steps == list(make_plan(mix=mix).steps_from(0))[11::-1]


def test_a_mix_of_other_data_sets_than_the_indexed_is_refused() -> None:
    with pytest.raises(PlanError, match="49 samples, an index of 50"):
        make_plan(mix=Mix((Share(49),)))


@dataclass
class WatchedColumn:
    """A column of a million rows that can be asked for single places only."""

    places: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, places_S: Integers) -> Integers:
        self.places += places_S.tolist()
        return 100 + places_S % 150


@pytest.mark.parametrize("mix", [None, Mix((Share(600_000, 0.3), Share(400_000, 2)))])
def test_planning_a_step_reads_its_own_samples_and_no_others(mix: Mix | None) -> None:
    tokens_N, cost_N = WatchedColumn(), WatchedColumn()
    plan = Plan(tokens_N, cost_N, epochs=3, global_batch=64, micro_tokens=512, seed=0, mix=mix)
    assert plan.num_steps > 0
    for step in (0, plan.num_steps // 2):
        planned = plan.samples_of(step).tolist()
        assert len(planned) == 64
        assert tokens_N.places == cost_N.places == []
        plan.step(step)
        assert tokens_N.places == cost_N.places == planned
        tokens_N.places.clear()
        cost_N.places.clear()
