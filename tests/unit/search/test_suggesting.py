"""What to try next."""

import math
import statistics

import pytest

from orchestrator.search.space import Values
from orchestrator.search.suggesting import Suggester, known_first, suggester_of
from tests.unit.search.made import SPACE, a_search

RATES = {"train.learning_rate": {"log": [1e-6, 1.0]}, "lora.rank": [4, 8]}


def drawing(searcher: str, **given: object) -> Suggester:
    usual = {"space": RATES, "budget": {"trials": 9}, "seed": 3}
    return suggester_of(a_search(searcher=searcher, **{**usual, **given}))


def rate_of(values: Values | None) -> float:
    assert values is not None
    rate = values["train.learning_rate"]
    assert isinstance(rate, float)
    return rate


def cost(values: Values) -> float:
    """Best at 1e-2."""
    return abs(math.log10(rate_of(values)) + 2)


def test_a_grid_ends_with_its_last_combination_and_passes_over_what_began() -> None:
    suggester = suggester_of(a_search())
    suggester.began({"images.max_images": 2, "train.global_batch": 16})
    found = []
    while (values := suggester.next()) is not None:
        found.append(tuple(values.values()))
    assert found == [(2, 8), (4, 8), (4, 16), (6, 8), (6, 16)]


@pytest.mark.parametrize("searcher", ["random", "tpe", "nsga2"])
def test_a_space_that_is_exhausted_ends_the_search(searcher: str) -> None:
    objectives = ["loss", "peak_memory"] if searcher == "nsga2" else ["loss"]
    suggester = drawing(searcher, space=SPACE, objectives=objectives)
    found = set()
    while (values := suggester.next()) is not None:
        found.add(tuple(values.values()))
        suggester.tell(values, (1.0,) * len(objectives), whole=True)
    assert len(found) == 6


def test_random_draws_are_the_same_for_a_driver_that_comes_later() -> None:
    first = drawing("random")
    drawn = [first.next() for _ in range(5)]
    later = drawing("random")
    known_first(later, [(values, (1.0,), True) for values in drawn[:3] if values])
    assert [later.next() for _ in range(2)] == drawn[3:]


def test_tpe_looks_where_it_was_good_and_learns_it_from_an_earlier_driver_too() -> None:
    first = drawing("tpe")
    told: list[tuple[Values, tuple[float, ...] | None, bool]] = []
    for _ in range(30):
        values = first.next()
        assert values is not None
        first.tell(values, (cost(values),), whole=True)
        told.append((values, (cost(values),), True))
    later = drawing("tpe", seed=4)
    known_first(later, told)
    for suggester in (first, later):
        drawn = [suggester.next() for _ in range(20)]
        # By chance it would be 1.5 decades.
        assert statistics.median(cost(values) for values in drawn if values) < 1.1


def test_trials_of_a_space_that_was_another_are_passed_over() -> None:
    suggester = drawing("tpe")
    wider: list[Values] = [
        {"train.learning_rate": 1e-3, "lora.rank": 16},
        {"train.learning_rate": 1e-9, "lora.rank": 4},
        {"lora.rank": 4},
    ]
    for values in wider:
        suggester.began(values)
        suggester.tell(values, (1.0,), whole=True)
    inside: Values = {"train.learning_rate": 1e-3, "lora.rank": 8}
    suggester.began(inside)
    suggester.tell(inside, (1.0,), whole=True)
    assert suggester.next() is not None


@pytest.mark.parametrize("searcher", ["tpe", "nsga2"])
def test_what_failed_or_was_ended_early_is_heard_without_harm(searcher: str) -> None:
    objectives = ["loss", "peak_memory"] if searcher == "nsga2" else ["loss"]
    suggester = drawing(searcher, objectives=objectives)
    costs = (1.0,) * len(objectives)
    for number in range(12):
        values = suggester.next()
        assert values is not None
        suggester.tell(values, None if number % 3 else costs, whole=number % 2 == 0)
