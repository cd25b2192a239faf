"""What comes next, from where a training stands."""

import itertools
from dataclasses import replace

import pytest

from orchestrator.train.rounds import Done, EvalPiece, Task, Terms, TrainStep, next_task
from orchestrator.train.state import Progress

START = Progress.start(num_tensors=1)


def course_of(terms: Terms) -> list[Task]:
    """Every task from the start to the end, each taken as done."""
    progress, tasks = START, []
    for _ in range(100):
        task = next_task(progress, terms)
        match task:
            case TrainStep():
                progress = replace(progress, step=progress.step + 1)
            case EvalPiece(piece=piece) if piece + 1 < terms.eval_pieces:
                progress = replace(progress, eval_step=piece + 1)
            case EvalPiece():
                progress = replace(progress, eval_step=0, evaluated_at=progress.step)
            case Done():
                return tasks
        tasks.append(task)
    pytest.fail(f"no end after {tasks}")


def steps(*numbers: int) -> list[Task]:
    return [TrainStep(number) for number in numbers]


EVALUATION: list[Task] = [EvalPiece(0), EvalPiece(1)]


@pytest.mark.parametrize(
    ("terms", "course"),
    [
        (Terms(3, 0, None), steps(0, 1, 2)),
        (Terms(3, 0, 1), steps(0, 1, 2)),
        (Terms(3, 2, None), steps(0, 1, 2) + EVALUATION),
        (Terms(3, 2, 2), steps(0, 1) + EVALUATION + steps(2) + EVALUATION),
        (Terms(4, 2, 2), steps(0, 1) + EVALUATION + steps(2, 3) + EVALUATION),
        (Terms(2, 2, 9), steps(0, 1) + EVALUATION),
        (Terms(0, 0, None), []),
        (Terms(4, 2, 2, until=2), steps(0, 1) + EVALUATION),
        (Terms(4, 2, None, until=2), steps(0, 1)),
        (Terms(2, 2, None, until=9), steps(0, 1) + EVALUATION),
    ],
)
def test_steps_are_trained_in_order_and_evaluated_when_due(
    terms: Terms, course: list[Task]
) -> None:
    assert course_of(terms) == course


@pytest.mark.parametrize(("num_steps", "every"), [*itertools.product([1, 5, 6], [None, 1, 3])])
def test_the_last_step_is_evaluated_once(num_steps: int, every: int | None) -> None:
    course = course_of(Terms(num_steps, 2, every))
    assert course[-2:] == EVALUATION
    assert course.count(TrainStep(num_steps - 1)) == 1
    assert course[-3] == TrainStep(num_steps - 1)


def test_an_evaluation_under_way_goes_on_where_it_stood() -> None:
    halfway = replace(START, step=3, eval_step=1)
    assert next_task(halfway, Terms(3, 2, None)) == EvalPiece(1)


def test_nothing_is_evaluated_before_the_first_step() -> None:
    assert next_task(START, Terms(3, 2, 1)) == TrainStep(0)
