"""Leaving and saving, by a fake clock: numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.policy.leaving import LeavingView, NoNeed, Save, leave_now, must_save


@pytest.mark.parametrize(
    ("deadline_s", "step_left_s", "now"),
    [
        (None, 1000.0, False),
        (220.0, 2.0, False),
        (105.0, 2.0, False),
        (105.0, 4.0, True),
        (100.0, 0.0, True),
        (90.0, 0.0, True),
    ],
)
def test_a_worker_leaves_in_mid_step_only_if_the_steps_end_comes_too_late(
    *, deadline_s: float | None, step_left_s: float, now: bool
) -> None:
    assert leave_now(deadline_s, now_s=100, step_left_s=step_left_s) is now


def view(deadline_s: dict[int, float | None], least: int = 1) -> LeavingView:
    return LeavingView(
        present=(3, 4, 5), deadline_s=deadline_s, least=least,
        now_s=100, step_left_s=2, save_s=4,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("deadline_s", "least", "writer"),
    [
        ({}, 1, None),
        ({}, 4, None),  # too few, but nobody leaves
        ({3: 130}, 1, None),
        ({3: 130, 4: 130}, 1, None),
        ({3: 130, 4: 130}, 2, 5),  # one stays, and has all the time
        ({3: 130, 4: 140, 5: 130}, 1, 4),
        ({3: 130, 4: 130, 5: 130}, 1, 3),
        ({3: None, 4: 110, 5: None}, 1, 4),
        ({9: 130}, 1, None),  # of no cell here
    ],
)
def test_whoever_has_most_time_saves_where_too_few_would_be_left(
    deadline_s: dict[int, float | None], least: int, writer: int | None
) -> None:
    answer = must_save(view(deadline_s, least))
    if writer is None:
        assert answer == NoNeed()
    else:
        assert isinstance(answer, Save)
        assert answer.cell == writer
        assert not answer.at_once


def test_a_deadline_before_the_steps_end_has_the_last_finished_step_saved() -> None:
    answer = must_save(view({3: 106, 4: 105, 5: None}))
    assert answer == Save(3, at_once=True, reason="0 of 3 cells stay")


deadlines = st.dictionaries(st.integers(0, 6), st.none() | st.floats(0, 300))


@given(st.sets(st.integers(0, 5)), deadlines, st.integers(1, 6))
def test_a_checkpoint_is_written_exactly_where_leaving_takes_a_run_below_its_least(
    present: set[int], deadline_s: dict[int, float | None], least: int
) -> None:
    answer = must_save(
        LeavingView(
            present=present, deadline_s=deadline_s, least=least,
            now_s=100, step_left_s=1, save_s=1,
        )
    )  # fmt: skip
    staying = present - deadline_s.keys()
    assert isinstance(answer, Save) is (staying != present and len(staying) < least)
    if isinstance(answer, Save):
        assert answer.cell in present
        assert not staying or answer.cell in staying
