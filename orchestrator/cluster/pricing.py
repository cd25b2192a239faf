"""``orchestrator plan --cluster``: hours of a training at each world size, and their price."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cluster.devices import Device
from orchestrator.cluster.forecast import sampled_steps
from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.resolving import costs_of, room_of
from orchestrator.errors import ConfigError
from orchestrator.launch.prices import Bill, PriceList, bills, price_lists
from orchestrator.models.memory.budget import Costs, Room
from orchestrator.models.memory.shape import read_shape
from orchestrator.models.memory.sketch import join
from orchestrator.models.memory.work import work
from orchestrator.plan.deal import deal_step
from orchestrator.plan.steps import StepPlan
from orchestrator.simulate.measuring import from_events
from orchestrator.simulate.speed import Speed
from orchestrator.tracking.events import Event

MOST_SIZES = 12
"""World sizes that are shown, the least and the most among them."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What a training costs on one cloud, at each world size."""

    prices: PriceList
    bills: tuple[Bill, ...]
    told_by: str
    """Where the seconds of a step come from."""


def price(
    prepared: Prepared, cluster: Path, step_s: float | None, log: Sequence[Event] | None
) -> list[Priced]:
    """Forecast hours and money.

    Args:
        prepared: The job, its indexes and plans.
        cluster: A file with prices.
        step_s: Seconds that one worker alone takes for a step; None where nobody knows.
        log: A run of the same job: its own times count first.

    Raises:
        ConfigError: There are no prices, or nothing tells how long a step takes.
    """
    lists = price_lists(cluster)
    sizes = world_sizes(*prepared.job.scale.workers)
    seconds, told_by = _step_seconds(prepared, sizes, step_s, log)
    num_steps = prepared.num_steps("train")
    return [
        Priced(prices, tuple(bills(prices, seconds, num_steps)), told_by) for prices in lists
    ]


def world_sizes(least: int, most: int) -> list[int]:
    """All of them, or some where there are many."""
    if most - least < MOST_SIZES:
        return list(range(least, most + 1))
    doubled = {least << power for power in range(most.bit_length())}
    return sorted({least, most, *(size for size in doubled if size < most)})


def _step_seconds(
    prepared: Prepared, sizes: list[int], step_s: float | None, log: Sequence[Event] | None
) -> tuple[dict[int, float], str]:
    if log is not None:
        speed = Speed(from_events(log))
        return {size: speed.step_s(size) for size in sizes}, "the run's own steps"
    _, plan = prepared.courses["train"].open()
    steps = sampled_steps(plan)
    if step_s is not None:
        whole = sum(float(step.cost_K.sum()) for step in steps) / len(steps)
        return _dealt(steps, sizes, {}, step_s / whole), "--step-s, shared out as planned"
    tflops = prepared.job.scale.device_tflops
    if tflops is None:
        raise ConfigError(
            "nothing tells how long a step takes",
            "--cluster",
            "Set scale.device_tflops, or give --step-s, or --events of a run of this job",
        )
    return _dealt(steps, sizes, _micro_seconds(prepared, steps, tflops)), "scale.device_tflops"


def _dealt(
    steps: Sequence[StepPlan],
    sizes: list[int],
    micro_s: dict[tuple[int, ...], float],
    per_cost_s: float = 0.0,
) -> dict[int, float]:
    """The mean step: as long as its longest hand, dealt as in training."""
    found = {}
    for size in sizes:
        total_s = 0.0
        for step in steps:
            seconds_K = [
                micro_s.get(micro.samples, float(cost) * per_cost_s)
                for micro, cost in zip(step.micros, step.cost_K, strict=True)
            ]
            hands = deal_step(step.cost_K, world_size=size)
            total_s += max(sum(seconds_K[micro] for micro in hand) for hand in hands)
        found[size] = total_s / len(steps)
    return found


def _micro_seconds(
    prepared: Prepared, steps: Sequence[StepPlan], tflops: float
) -> dict[tuple[int, ...], float]:
    """By the samples in it: multiplications over what a device does of them."""
    job = prepared.job
    shape = read_shape(job.model.path, job.model.revision)
    room = room_of(job, shape, Device(0, on_gpu=True, told_by="nobody"))
    index, _ = prepared.courses["train"].open()
    costs = costs_of(job, shape, index)
    return {
        micro.samples: _seconds(room, costs, micro.samples, tflops)
        for step in steps
        for micro in step.micros
    }


def _seconds(room: Room, costs: Costs, samples: tuple[int, ...], tflops: float) -> float:
    merge = room.shape.tower.merge
    row = join(costs.sample(sample, merge) for sample in samples)
    return work(room.shape, room.recipe, row).seconds(tflops)
