"""What a run cost, from logs written by hand."""

import pytest

from orchestrator.config.prices import PriceConfig
from orchestrator.config.scale import ScaleConfig
from orchestrator.tracking.events import Event, EventValue, make_event
from orchestrator.tracking.spending import Spending, spent

SCALE = ScaleConfig(prices=PriceConfig(worker=2.0, standing=0.5, currency="EUR"))
HOUR = 3600.0


def event(kind: str, hour: float, **fields: EventValue) -> Event:
    return make_event(kind, wall_s=hour * HOUR, **fields)


def joined(cell: int, hour: float, load_s: float = 0.0) -> Event:
    return event("joined", hour, cell=cell, load_s=load_s)


def test_a_job_without_prices_costs_nothing_that_is_known() -> None:
    assert spent([event("started", 0)], ScaleConfig()) is None


def test_an_empty_log_costs_nothing() -> None:
    assert spent([], SCALE) == Spending(0.0, 0.0, 0.0, "EUR")


def test_workers_are_paid_from_joining_to_the_end_and_the_head_all_along() -> None:
    events = [event("started", 0), joined(0, 1), joined(1, 2), event("finished", 4)]
    assert spent(events, SCALE) == Spending(5.0, 4.0, 5 * 2.0 + 4 * 0.5, "EUR")


def test_a_worker_that_was_lost_is_paid_until_then() -> None:
    events = [
        event("started", 0),
        joined(0, 0),
        joined(1, 0),
        event("lost", 1, cell=1),
        event("left", 3, cell=0),
        event("finished", 9),
    ]
    found = spent(events, SCALE)
    assert found is not None
    assert found.worker_hours == 4.0


def test_loading_is_paid_for_before_a_worker_joins() -> None:
    events = [event("started", 0), joined(0, 1, load_s=0.5 * HOUR), event("finished", 2)]
    found = spent(events, SCALE)
    assert found is not None
    assert found.worker_hours == 1.5


def test_the_time_between_two_attempts_costs_the_head_alone() -> None:
    events = [
        event("started", 0),
        joined(0, 0),
        event("checkpoint", 1, step=1, path="p", seconds=1.0),
        event("resumed", 5, step=1),
        joined(0, 5),
        event("finished", 6),
    ]
    assert spent(events, SCALE) == Spending(2.0, 6.0, 2 * 2.0 + 6 * 0.5, "EUR")


def test_a_loss_of_somebody_unknown_changes_nothing() -> None:
    events = [event("started", 0), event("lost", 1, cell=7), event("finished", 2)]
    found = spent(events, SCALE)
    assert found is not None
    assert found.worker_hours == 0.0


@pytest.mark.parametrize("workers", [1, 4])
def test_a_cell_of_several_workers_costs_as_many(workers: int) -> None:
    scale = SCALE.model_copy(update={"workers_per_cell": workers})
    found = spent([event("started", 0), joined(0, 0), event("finished", 3)], scale)
    assert found is not None
    assert found.worker_hours == 3.0 * workers


def test_clocks_that_go_back_cost_nothing() -> None:
    found = spent([event("started", 5), joined(0, 5), event("finished", 3)], SCALE)
    assert found == Spending(0.0, 0.0, 0.0, "EUR")
