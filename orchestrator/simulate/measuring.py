"""What a run's event log says of how long things took.

Means and not medians: goodput is made of all the seconds, the rare long ones included.
"""

import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.errors import DataError
from orchestrator.simulate.measured import Measured
from orchestrator.simulate.speed import Speed

Event: TypeAlias = Mapping[str, Any]
"""One line of a run's ``events.jsonl``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A finished step, and what was recorded since the finished step before."""

    step: Event
    between: tuple[Event, ...]
    took_s: float
    """Since the step before."""

    @property
    def world_size(self) -> int:
        """Workers that did the step."""
        return int(self.step["world_size"])

    def has(self, *kinds: str) -> bool:
        """Whether something of a kind happened in between."""
        return any(event["kind"] in kinds for event in self.between)

    @property
    def sudden(self) -> list[Event]:
        """Losses without a notice."""
        return [e for e in self.between if e["kind"] == "lost" and e.get("reason") != "notice"]


def from_events(events: Sequence[Event]) -> Measured:
    """Take the measured times out of a run's log; what it does not tell is left to defaults.

    Raises:
        DataError: Not one step was finished.
    """
    pairs = list(_pairs(events))
    steps = [event for event in events if event["kind"] == "step"]
    if not steps:
        raise DataError(
            "no step was finished", "event log", "Name the log of a run that trained"
        )
    quiet = [pair for pair in pairs if not pair.has("lost", "joined", "resumed", "started")]
    round_s = _round_s([pair.step for pair in quiet] or steps)
    loads_s = [float(e["load_s"]) for e in _of_kind(events, "joined") if e.get("load_s")]
    saves = _of_kind(events, "checkpoint")
    known: dict[str, Any] = {
        **_model_of(steps, round_s),
        "round_s": tuple(sorted(round_s.items())),
        "between_s": _mean(pair.took_s - pair.step["round_s"] for pair in quiet),
        "load_s": _mean(loads_s),
        "checkpoint_s": _mean(float(event["seconds"]) for event in saves),
        "checkpoint_every_steps": _interval(saves),
    }
    return _with_gaps(_measured(known), pairs)


def _with_gaps(steady: Measured, pairs: Sequence[Pair]) -> Measured:
    """What losses, joins and new beginnings cost beyond the steps themselves."""
    speed = Speed(steady)

    def beyond_s(pair: Pair) -> float:
        return pair.took_s - speed.step_s(pair.world_size)

    alive = [pair for pair in pairs if not pair.has("resumed", "started")]
    lost = [pair for pair in alive if pair.sudden]
    joined = [pair for pair in alive if pair.has("joined") and not pair.sudden]
    return _measured(
        {
            **{name: value for name, value in steady if name in steady.model_fields_set},
            "pause_s": _mean(
                beyond_s(pair) - _expected_s(pair, speed, steady) for pair in lost
            ),
            "disturbed_share": _mean(
                pair.step["round_s"] / speed.round_s(pair.world_size) for pair in lost
            ),
            "join_s": _mean(map(beyond_s, joined)),
            "restore_s": _mean(
                _since_resumed_s(pair) - speed.step_s(pair.world_size)
                for pair in pairs
                if pair.has("resumed")
            ),
        }
    )


def _expected_s(pair: Pair, speed: Speed, measured: Measured) -> float:
    """Of a loss at any time within a step: what is known before the pause is added."""
    before = pair.world_size + len(pair.sudden)
    step_s, silence_s = speed.step_s(before), measured.heartbeat_s
    # The mean of what sticks out of the step, over all times of the loss.
    if silence_s < step_s:
        silence_s = silence_s**2 / (2 * step_s)
    else:
        silence_s -= step_s / 2
    longer_s = step_s - speed.step_s(pair.world_size)
    return longer_s + silence_s + speed.orphans_s(before - 1, world_size=before)


def _measured(known: Mapping[str, Any]) -> Measured:
    told = {
        name: max(0.0, value) if isinstance(value, float) else value
        for name, value in known.items()
        if value is not None
    }
    return Measured.model_validate(told)


def _pairs(events: Sequence[Event]) -> Iterator[Pair]:
    before: Event | None = None
    between: list[Event] = []
    for event in events:
        if event["kind"] != "step":
            between.append(event)
            continue
        if before is not None:
            took_s = max(0.0, event["wall_s"] - before["wall_s"])
            yield Pair(step=event, between=tuple(between), took_s=took_s)
        before, between = event, []


def _since_resumed_s(pair: Pair) -> float:
    resumed = next(event for event in pair.between if event["kind"] == "resumed")
    return float(pair.step["wall_s"]) - float(resumed["wall_s"])


def _round_s(steps: Iterable[Event]) -> dict[int, float]:
    by_size: dict[int, list[float]] = {}
    for step in steps:
        by_size.setdefault(int(step["world_size"]), []).append(float(step["round_s"]))
    return {size: max(1e-6, statistics.fmean(all_s)) for size, all_s in by_size.items()}


def _model_of(steps: Sequence[Event], round_s: Mapping[int, float]) -> dict[str, Any]:
    """Micro-batches a step, and seconds of one: for world sizes that were not measured."""
    told = [int(step["num_micro"]) for step in steps if step.get("num_micro")]
    num_micro = round(statistics.fmean(told)) if told else max(round_s)
    busy = {size: -(-num_micro // size) for size in round_s}
    micro_s = statistics.fmean(round_s[size] / busy[size] for size in round_s)
    return {"num_micro": num_micro, "micro_s": micro_s, "spread": 0.0, "fixed_s": 0.0}


def _interval(saves: Sequence[Event]) -> int | None:
    steps = sorted({int(event["step"]) for event in saves})
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    return statistics.mode(gaps) if gaps else None


def _of_kind(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event["kind"] == kind]


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None
