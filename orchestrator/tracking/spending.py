"""What a run cost, from its events and the prices that its job names."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.config.scale import ScaleConfig
from orchestrator.tracking.events import Event, number, whole_number

_HOUR_S = 3600.0
_GONE = ("lost", "left", "released", "refused")
_NOBODY = ("started", "resumed", "finished", "failed")


@dataclass(frozen=True, slots=True)
class Spending:
    """Hours that were paid for, and their price."""

    worker_hours: float
    """From when workers began to load until they were lost, left, or the run was over. What a
    machine costs before and after that is not in it."""

    hours: float
    """From the run's first event to its last, pauses between attempts included."""

    cost: float
    currency: str


def spent(events: Sequence[Event], scale: ScaleConfig) -> Spending | None:
    """Add up a run's whole log.

    Args:
        events: In their order.
        scale: The job's: its prices, and how many workers a cell has.

    Returns:
        None where the job names no prices.
    """
    prices = scale.prices
    if prices is None:
        return None
    worker_hours = _cell_s(events) * scale.workers_per_cell / _HOUR_S
    hours = _between_s(events[0], events[-1]) / _HOUR_S if events else 0.0
    cost = worker_hours * prices.worker + hours * prices.standing
    return Spending(round(worker_hours, 6), round(hours, 6), round(cost, 4), prices.currency)


def _cell_s(events: Sequence[Event]) -> float:
    """Seconds of all cells together."""
    cells: set[int] = set()
    total_s = 0.0
    for event, after in itertools.zip_longest(events, events[1:]):
        if event["kind"] == "joined":
            cells.add(whole_number(event, "cell"))
            # It was paid for while it loaded, and others trained.
            total_s += number(event, "load_s") if event.get("load_s") else 0.0
        elif event["kind"] in _GONE:
            cells.discard(whole_number(event, "cell"))
        elif event["kind"] in _NOBODY:
            cells.clear()
        # An attempt that was cut off tells nobody when its machines went.
        if after is not None and after["kind"] != "resumed":
            total_s += len(cells) * _between_s(event, after)
    return total_s


def _between_s(earlier: Event, later: Event) -> float:
    return max(0.0, number(later, "wall_s") - number(earlier, "wall_s"))
