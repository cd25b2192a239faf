"""What a run cost, from its events and the prices that its job names."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.config.scale import ScaleConfig
from orchestrator.tracking.events import Event, elapsed_s
from orchestrator.tracking.presence import cell_seconds

_HOUR_S = 3600.0


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
    worker_hours = cell_seconds(events) * scale.workers_per_cell / _HOUR_S
    hours = elapsed_s(events[0], events[-1]) / _HOUR_S if events else 0.0
    cost = worker_hours * prices.worker + hours * prices.standing
    return Spending(round(worker_hours, 6), round(hours, 6), round(cost, 4), prices.currency)
