"""What is kept of rendered micro-batches, and how much one task renders."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.handout import TASK_BYTES, TASK_MICROS, Wanted, tasks_of
from orchestrator.cluster.window import Window
from orchestrator.data.places.location import Location
from orchestrator.data.render import request_rows
from orchestrator.data.rows import RenderMedium, RenderRow
from orchestrator.plan.steps import Address


def at(step: int, micro: int = 0) -> Address:
    return Address(0, step, micro)


def filled(most_ahead: int = 4, most_bytes: int = 1000, size: int = 1) -> Window[str]:
    """A window at step 5 that has taken what it could get."""
    window: Window[str] = Window(most_ahead, most_bytes)
    window.restart(5)
    for micro in range(100):
        if not window.has_room():
            break
        window.put(at(5 + micro), f"block {micro}", size)
    return window


def test_what_was_put_is_had_by_everybody_who_asks() -> None:
    window = filled()
    assert [window.take(at(5)) for _ in range(3)] == ["block 0"] * 3
    assert window.take(at(4)) is None
    assert at(5) in window


def test_a_number_beyond_the_next_step_is_the_most() -> None:
    window = filled(most_ahead=4)
    # Steps 5 and 6, and four beyond.
    assert [step for step in range(30) if at(step) in window] == [5, 6, 7, 8, 9, 10]
    window.move_to(7)
    assert [step for step in range(30) if at(step) in window] == [6, 7, 8, 9, 10]
    assert window.has_room()


def test_bytes_are_the_most_even_within_one_step() -> None:
    window: Window[str] = Window(most_ahead=100, most_bytes=300)
    window.restart(0)
    for micro in range(3):
        assert window.has_room()
        window.put(at(0, micro), "", 100)
    assert not window.has_room()


def test_a_single_micro_batch_may_be_larger_than_the_window() -> None:
    window = filled(most_bytes=10, size=5000)
    assert at(5) in window
    assert at(6) not in window


def test_what_was_taken_goes_first_and_only_where_room_is_wanted() -> None:
    window = filled(most_bytes=6, most_ahead=100)
    assert at(10) in window
    assert window.take(at(6)) == "block 1"
    assert window.take(at(5)) == "block 0"
    assert at(6) in window
    assert window.has_room()
    # In the order in which they came: one of them was enough.
    assert at(5) not in window
    assert at(6) in window


def test_the_step_before_stays_for_a_neighbour_who_is_still_at_it() -> None:
    window = filled()
    window.move_to(6)
    assert at(5) in window
    window.move_to(7)
    assert at(5) not in window
    window.move_to(3)
    assert window.floor == 6


def test_a_restart_forgets_everything() -> None:
    window = filled(most_bytes=2)
    assert not window.has_room()
    window.restart(2)
    assert at(5) not in window
    assert window.has_room()


@given(
    sizes=st.lists(st.integers(0, 2 * TASK_BYTES), max_size=60),
    most=st.integers(1, TASK_MICROS),
)
def test_tasks_take_every_micro_batch_in_order_and_none_takes_too_much(
    sizes: list[int], most: int
) -> None:
    empty = Wanted.of(at(0), [])
    segment = [Wanted(at(0, n), empty.request, size) for n, size in enumerate(sizes)]
    tasks = list(tasks_of(segment, most))
    assert list(chain.from_iterable(tasks)) == segment
    for task in tasks:
        assert 1 <= len(task) <= most
        assert sum(each.num_bytes for each in task[:-1]) < TASK_BYTES


@pytest.mark.parametrize("targets", [(), ((28, 56),), ((28, 56), (56, 56))])
def test_a_micro_batch_counts_by_its_pixels(targets: tuple[tuple[int, int], ...]) -> None:
    media = tuple(RenderMedium("image", Location("/a"), (target,)) for target in targets)
    row = RenderRow(3, "id", np.array([7], np.int32), np.array([True]), media)
    wanted = Wanted.of(at(1, 2), [row, row])
    assert wanted.num_bytes == 2 * 3 * sum(h * w for h, w in targets)
    assert [each.media for each in request_rows(wanted.request)] == [media] * 2
