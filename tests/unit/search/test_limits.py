"""How many trials at once, and how many at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.scale import ScaleConfig
from orchestrator.config.search import SearchBudget
from orchestrator.search.budget import Spent, exhausted, may_begin
from orchestrator.search.room import room_for
from tests.unit.search.made import a_trial, figures_of

HEAD = {"CPU": 2.0, "memory": 1e9}
NODE = {"CPU": 8.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("nodes", "workers", "gpu", "most", "room"),
    [
        ([{"CPU": 2.0}], (1, 1), False, None, 1),
        ([{"CPU": 4.0}], (1, 1), False, None, 2),
        ([{"CPU": 4.0}], (1, 3), False, None, 1),
        ([{"CPU": 1.0}], (1, 1), False, None, 1),
        ([HEAD, *[NODE] * 4], (1, 1), True, None, 4),
        ([HEAD, *[NODE] * 4], (1, 2), True, None, 2),
        ([HEAD, *[NODE] * 4], (1, 1), True, 3, 3),
        ([HEAD], (1, 1), True, None, 1),
    ],
)
def test_there_is_room_for_trials_with_all_their_workers_and_a_core_to_render(
    nodes: list[dict[str, float]],
    workers: tuple[int, int],
    gpu: bool,  # noqa: FBT001
    most: int | None,
    room: int,
) -> None:
    assert room_for(nodes, ScaleConfig(workers=workers), gpu=gpu, most=most) == room


@given(st.lists(st.integers(0, 16), max_size=6), st.integers(1, 4), st.integers(1, 4))
def test_trials_never_want_more_cores_than_there_are_and_a_node_more_is_never_less_room(
    cores: list[int], workers: int, threads: int
) -> None:
    scale = ScaleConfig(workers=(1, workers), cpus_per_worker=threads)
    nodes = [{"CPU": float(each)} for each in cores]
    room = room_for(nodes, scale, gpu=False, most=None)
    assert room == 1 or room * (workers * threads + 1) <= sum(cores)
    assert room_for([*nodes, {"CPU": 4.0}], scale, gpu=False, most=None) >= room


def spent(**given: float) -> Spent:
    usual = {"trials": 3, "steps": 90, "hours": 0.5, "device_hours": 1.0}
    return Spent(**{**usual, **given})  # type: ignore[arg-type]


def test_what_is_spent_is_said_and_nothing_more_begins() -> None:
    assert exhausted(SearchBudget(), spent()) is None
    assert exhausted(SearchBudget(steps=91), spent()) is None
    assert exhausted(SearchBudget(steps=90), spent()) == "budget.steps (90) is spent"
    assert exhausted(SearchBudget(hours=0.5), spent()) == "budget.hours (0.5) is spent"
    assert exhausted(SearchBudget(device_hours=0.9), spent()) is not None
    assert not may_begin(SearchBudget(trials=3), spent())
    assert may_begin(SearchBudget(trials=4), spent())
    assert exhausted(SearchBudget(trials=3), spent()) is None, "those that began may end"


def test_refused_combinations_cost_nothing() -> None:
    refused = a_trial(1, {"lora.rank": 1}, status="refused", figures=None)
    ran = a_trial(2, {"lora.rank": 2}, figures=figures_of(1.0, steps=7, device_hours=0.25))
    assert Spent.on([refused, ran], 1.5) == Spent(1, 7, 1.5, 0.25)
