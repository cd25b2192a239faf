"""The figures of a run, computed from its events and from nothing else.

The log holds every attempt of the run in the order of writing. That order counts, not the
clocks: several machines may have written, and where clocks disagree a negative time is 0.
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.tracking.events import Event, elapsed_s, number, whole_number
from orchestrator.tracking.presence import cell_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalFigures:
    """What one evaluation found."""

    step: int
    loss: float
    accuracy: float
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFigures:
    """A run in numbers. A step that was done more than once counts as it was done last."""

    steps: int
    """Optimizer steps that count, each once."""

    epochs: int
    """Epochs that were at least begun."""

    first_loss: float | None
    """Loss of the first step; None where there was none."""

    final_loss: float | None
    """Loss of the last step; None where there was none."""

    samples_used: int
    """Slots trained, over all epochs, each once."""

    quarantined: int
    """Slots left empty for a bad sample, in training and evaluation, each once."""

    joins: int
    """Cells that joined."""

    losses: int
    """Cells that were lost."""

    restarts: int
    """Attempts after the first, but for those that go on after a pause."""

    world_sizes: tuple[int, ...]
    """World sizes that steps were done with, in order; neighbours that are alike are one."""

    longest_gap_s: float
    """The longest time that a finished step came after the finished step or evaluation before
    it, less the median of these times; 0 with fewer than two of them. What happens between two
    attempts is in it, an evaluation is not."""

    steps_replayed: int
    """Finished steps beyond the first with the same epoch and step number."""

    wall_s: float
    """From the first attempt's beginning to the last event."""

    goodput: float
    """The ``round_s`` of the steps, each step once, over the time from the first step's start
    to the last step's end; 0 without a step."""

    micro_batches: float
    """Of a step, on average."""

    samples_per_s: float
    """Of all workers together, in the time of their steps; 0 without a step."""

    peak_memory_mb: float | None
    """The most that a worker which reported steps had in use; None where none told."""

    cell_s: float
    """Seconds that cells were there, all of them together, each from its process's start."""

    evals: tuple[EvalFigures, ...]
    """Evaluations in order, the last one of each step."""


def summarise(events: Sequence[Event]) -> RunFigures:
    """Compute a run's figures from its whole log. An empty log gives zeros."""
    done = _of_kind(events, "step")
    # A later event replaces an earlier one: its weights are those that training went on with.
    steps = list({(event["epoch"], event["step"]): event for event in done}.values())
    return RunFigures(
        steps=len(steps),
        epochs=len({event["epoch"] for event in steps}),
        first_loss=number(steps[0], "loss") if steps else None,
        final_loss=number(done[-1], "loss") if done else None,
        samples_used=sum(whole_number(event, "samples") for event in steps),
        quarantined=len({_slot(event) for event in _of_kind(events, "empty_slot")}),
        joins=len(_of_kind(events, "joined")),
        losses=len(_of_kind(events, "lost")),
        restarts=_restarts(events),
        world_sizes=tuple(
            size for size, _ in itertools.groupby(whole_number(e, "world_size") for e in done)
        ),
        longest_gap_s=_longest_gap_s(events),
        steps_replayed=len(done) - len(steps),
        wall_s=elapsed_s(beginning(events), events[-1]) if events else 0.0,
        goodput=_goodput(steps, done),
        micro_batches=_mean([number(e, "num_micro") for e in steps if "num_micro" in e]),
        samples_per_s=_samples_per_s(steps),
        peak_memory_mb=_peak_memory_mb(done),
        cell_s=cell_seconds(events),
        evals=_evals(events),
    )


def beginning(events: Sequence[Event]) -> Event:
    """The event with which the first attempt opens; before it, the fleet only gathers."""
    opened = (event for event in events if event["kind"] in ("started", "resumed"))
    return next(opened, events[0])


def _of_kind(events: Sequence[Event], *kinds: str) -> list[Event]:
    return [event for event in events if event["kind"] in kinds]


def _restarts(events: Sequence[Event]) -> int:
    kinds = [event["kind"] for event in _of_kind(events, "started", "resumed", "paused")]
    begun = sum(kind != "paused" for kind in kinds)
    gone_on = sum(pair == ("paused", "resumed") for pair in itertools.pairwise(kinds))
    return max(0, begun - 1 - gone_on)


def _slot(event: Event) -> tuple[object, ...]:
    # ``part`` is written where both training and held-out data have slots.
    return event.get("part"), event["epoch"], event["step"], event["sample"]


def _longest_gap_s(events: Sequence[Event]) -> float:
    progress = _of_kind(events, "step", "eval")
    times_s = [
        elapsed_s(earlier, later)
        for earlier, later in itertools.pairwise(progress)
        if later["kind"] == "step"
    ]
    return max(times_s) - statistics.median(times_s) if times_s else 0.0


def _goodput(steps: Sequence[Event], done: Sequence[Event]) -> float:
    if not done:
        return 0.0
    wall_s = elapsed_s(done[0], done[-1]) + number(done[0], "round_s")
    return sum(number(event, "round_s") for event in steps) / wall_s if wall_s > 0 else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _samples_per_s(steps: Sequence[Event]) -> float:
    seconds = sum(number(event, "round_s") for event in steps)
    samples = sum(whole_number(event, "samples") for event in steps)
    return samples / seconds if seconds > 0 else 0.0


def _peak_memory_mb(done: Sequence[Event]) -> float | None:
    # Absent from logs that were written before it was measured.
    told = [number(event, "peak_memory_mb") for event in done if "peak_memory_mb" in event]
    return max(told, default=None)


def _evals(events: Sequence[Event]) -> tuple[EvalFigures, ...]:
    by_step = {event["step"]: event for event in _of_kind(events, "eval")}
    return tuple(
        EvalFigures(
            step=whole_number(event, "step"),
            loss=number(event, "loss"),
            accuracy=number(event, "accuracy"),
            samples=whole_number(event, "samples"),
        )
        for event in by_step.values()
    )
