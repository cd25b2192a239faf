"""Naming and releasing a slow cell, by a fake clock: numbers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.policy.slowness import Keep, Name, Pace, PaceView, Release, ReleaseTheSlow

POLICY = ReleaseTheSlow(name_steps=3, name_s=5, release_steps=10, release_s=30)


def pace(cell: int, waiting_since_s: float | None, round_: int = 7) -> Pace:
    return Pace(cell=cell, round=round_, waiting_since_s=waiting_since_s)


def view(*paces: Pace, now_s: float, step_s: float = 1.0) -> PaceView:
    return PaceView(paces=paces, now_s=now_s, step_s=step_s, least=1)


SLOW = (pace(0, 100), pace(1, 98), pace(2, None))


@pytest.mark.parametrize(
    ("waited_s", "step_s", "verdict"),
    [
        (0.0, 1.0, Keep),
        (4.9, 1.0, Keep),
        (5.0, 1.0, Name),  # the floor
        (5.0, 4.0, Keep),
        (12.0, 4.0, Name),  # three steps
        (500.0, 4.0, Name),  # never released before it is named
    ],
)
def test_a_cell_is_named_once_all_others_have_waited_long(
    waited_s: float, step_s: float, verdict: type
) -> None:
    answer = POLICY.decide(view(*SLOW, now_s=100 + waited_s, step_s=step_s))
    assert type(answer) is verdict
    assert not isinstance(answer, Name) or answer.cell == 2


@pytest.mark.parametrize(
    ("waited_s", "step_s", "verdict"),
    [
        (10, 1.0, Keep),
        (29.9, 1.0, Keep),
        (30, 1.0, Release),
        (30, 4.0, Keep),
        (40, 4.0, Release),
    ],
)
def test_a_named_cell_is_released_once_patience_is_over(
    waited_s: float, step_s: float, verdict: type
) -> None:
    named = replace(view(*SLOW, now_s=100 + waited_s, step_s=step_s), named=2)
    assert type(POLICY.decide(named)) is verdict


def test_nobody_is_released_where_too_few_would_be_left() -> None:
    named = replace(view(*SLOW, now_s=1000), named=2)
    assert POLICY.decide(replace(named, least=2)) == Release(
        2, "the others have waited 900.0 s at steps of 1.0 s"
    )
    assert POLICY.decide(replace(named, least=3)) == Keep()


@pytest.mark.parametrize(
    "paces",
    [
        (),
        (pace(0, None),),
        (pace(0, 0),),
        (pace(0, 0), pace(1, 0)),
        (pace(0, 0), pace(1, None), pace(2, None)),  # two at once
        (pace(0, 0), pace(1, None, round_=8)),  # it has just arrived, the other's word is old
        (pace(0, 0), pace(1, 0, round_=6), pace(2, None)),  # one has not been heard lately
    ],
)
def test_nobody_is_named_where_it_is_not_one_cell_that_holds_up_all_others(
    paces: tuple[Pace, ...],
) -> None:
    assert POLICY.decide(view(*paces, now_s=1000)) == Keep()


def test_a_cell_that_is_rounds_behind_is_named_too() -> None:
    answer = POLICY.decide(view(pace(0, 100), pace(1, None, round_=3), now_s=110))
    assert isinstance(answer, Name)


since_s = st.none() | st.floats(0, 200)
paces = st.lists(st.builds(pace, st.integers(0, 5), since_s, st.integers(1, 3)), max_size=6)


@given(paces, st.floats(0, 500), st.floats(0.01, 60), st.integers(1, 6))
def test_only_a_cell_that_computes_is_ever_named_or_released(
    found: list[Pace], now_s: float, step_s: float, least: int
) -> None:
    by_cell = tuple({pace.cell: pace for pace in found}.values())
    for named in (None, *(pace.cell for pace in by_cell)):
        seen = PaceView(paces=by_cell, now_s=now_s, step_s=step_s, least=least, named=named)
        answer = POLICY.decide(seen)
        if not isinstance(answer, Keep):
            working = [pace.cell for pace in by_cell if pace.waiting_since_s is None]
            assert working == [answer.cell]
        if isinstance(answer, Release):
            assert answer.cell == named
            assert len(by_cell) > least
