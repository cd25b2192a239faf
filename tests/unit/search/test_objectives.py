"""What is best, by one figure and by several."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.search.objectives import costs_of, front, front_of
from tests.unit.search.made import a_trial, figures_of, whole_grid

COSTS = st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=12)


def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@given(COSTS)
def test_the_front_is_beaten_by_none_and_beats_or_equals_all_others(
    costs: list[tuple[int, ...]],
) -> None:
    kept = [costs[place] for place in front(costs)]
    assert not any(beats(other, one) for one in kept for other in costs)
    left = [one for one in costs if one not in kept]
    assert all(any(beats(other, one) for other in kept) for one in left)
    assert bool(kept) == bool(costs)


@given(COSTS, st.randoms())
def test_the_front_does_not_depend_on_the_order(
    costs: list[tuple[int, ...]], random: object
) -> None:
    mixed = list(costs)
    random.shuffle(mixed)  # type: ignore[attr-defined]  # a Random
    assert sorted(costs[p] for p in front(costs)) == sorted(mixed[p] for p in front(mixed))


def test_more_is_better_where_it_is() -> None:
    figures = figures_of(0.5)
    objectives = ("loss", "accuracy", "samples_per_s", "peak_memory", "device_hours")
    assert costs_of(figures, objectives) == (0.5, -0.5, -20.0, 900.0, 0.01)


def test_one_objective_has_one_best_and_only_what_finished_counts() -> None:
    trials = whole_grid()
    worst = a_trial(9, {"images.max_images": 9, "train.global_batch": 8}, 0.0, status="stopped")
    [best] = front_of([*trials, worst], ("loss",))
    assert best.values == {"images.max_images": 6, "train.global_batch": 8}


@pytest.mark.parametrize("turn", [1, -1])
def test_of_equals_the_cheaper_is_chosen_whichever_came_first(turn: int) -> None:
    dear = a_trial(1, {"lora.rank": 4}, figures=figures_of(0.5, device_hours=2.0))
    cheap = a_trial(2, {"lora.rank": 8}, figures=figures_of(0.5, device_hours=1.0))
    assert front_of([dear, cheap][::turn], ("loss",))[0] == cheap


def test_what_was_not_measured_is_no_candidate() -> None:
    blind = a_trial(1, {"lora.rank": 4}, figures=figures_of(0.5, peak_memory_mb=None))
    assert front_of([blind], ("loss", "peak_memory")) == []
    assert front_of([blind], ("loss",)) == [blind]
