"""Who is given up, and what is tried in its place."""

import math

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.search import PbtConfig, Span
from orchestrator.search.population import FACTORS, Copy, Standing, replaced
from orchestrator.search.space import Space

SPACE: Space = {
    "train.learning_rate": Span(log=(1e-5, 1e-1)),
    "train.weight_decay": (0.0, 0.01, 0.1),
}
COSTS = st.one_of(st.none(), st.just(math.nan), st.floats(-10, 10))


def standing(member: int, cost: float | None) -> Standing:
    values = {"train.learning_rate": 1e-3 * member, "train.weight_decay": 0.01}
    return Standing(member, f"trial-{member}", values, cost)


def breed(
    costs: list[float | None], seed: int = 0, step: int = 5, **given: float
) -> list[Copy]:
    standings = [standing(member, cost) for member, cost in enumerate(costs, 1)]
    config = PbtConfig(members=max(2, len(costs)), **given)  # type: ignore[arg-type]
    return replaced(standings, SPACE, config, seed=seed, step=step)


def test_the_worst_goes_and_the_best_goes_on_twice() -> None:
    [copy] = breed([0.4, 0.9, 0.1, 0.5])
    assert (copy.member, copy.of.member) == (2, 3)


def test_half_of_them_can_be_given_up_at_most() -> None:
    copies = breed([0.4, 0.9, 0.1, 0.5], replace=0.5)
    assert [copy.member for copy in copies] == [2, 4]
    assert {copy.of.member for copy in copies} <= {1, 3}


def test_whoever_failed_is_given_up_and_nobody_is_where_nobody_is_left() -> None:
    copies = breed([None, 0.9, math.nan, 0.5])
    assert [copy.member for copy in copies] == [1, 2, 3]
    assert {copy.of.member for copy in copies} == {4}
    assert breed([None, None]) == []
    [copy] = breed([None, 0.2])
    assert copy.of.member == 2


def test_a_copy_varies_each_value_a_little_or_draws_it_anew() -> None:
    seen = set()
    for step in range(40):
        [copy] = breed([0.1, 0.9], step=step, resample=0.0)
        rate, decay = copy.values.values()
        assert any(math.isclose(float(str(rate)), 1e-3 * factor) for factor in FACTORS)
        assert decay in (0.0, 0.1), "the next one in the list"
        seen.add((rate, decay))
    assert len(seen) == 4
    drawn = {
        breed([0.1, 0.9], step=s, resample=1.0)[0].values["train.weight_decay"]
        for s in range(40)
    }
    assert drawn == {0.0, 0.01, 0.1}


@given(st.lists(COSTS, min_size=2, max_size=9), st.integers(0, 99), st.integers(1, 99))
def test_it_follows_from_what_was_measured_alone(
    costs: list[float | None], seed: int, step: int
) -> None:
    copies = breed(costs, seed, step)
    assert copies == breed(costs, seed, step)
    alive = [cost for cost in costs if cost is not None and not math.isnan(cost)]
    if not alive:
        assert copies == []
        return
    assert [copy.member for copy in copies] == sorted({copy.member for copy in copies})
    given_up = {copy.member for copy in copies}
    for copy in copies:
        assert copy.of.is_alive
        assert copy.of.member not in given_up
        assert 1e-5 <= float(str(copy.values["train.learning_rate"])) <= 1e-1
        mine = costs[copy.member - 1]
        if mine is not None and not math.isnan(mine):
            assert copy.of.cost is not None
            assert copy.of.cost <= mine
    assert len(alive) - len([m for m in given_up if standing(m, costs[m - 1]).is_alive]) >= 1
