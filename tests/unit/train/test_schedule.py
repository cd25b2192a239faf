"""The learning rate."""

from typing import Literal

import pytest

from orchestrator.train.schedule import learning_rate


def rates(schedule: Literal["cosine", "constant"] = "cosine") -> list[float]:
    return [
        learning_rate(step, num_steps=100, peak=1.0, warmup_fraction=0.1, schedule=schedule)
        for step in range(100)
    ]


def test_it_climbs_to_the_peak_and_falls_to_a_tenth_of_it() -> None:
    curve = rates()
    assert curve[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert max(curve) == 1.0
    assert curve[10:] == sorted(curve[10:], reverse=True)
    assert curve[-1] == pytest.approx(0.1, abs=0.01)


def test_a_constant_one_stays_at_the_peak() -> None:
    assert set(rates("constant")[10:]) == {1.0}


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_a_training_of_few_steps_has_no_step_without_effect(num_steps: int) -> None:
    for step in range(num_steps):
        assert (
            learning_rate(
                step, num_steps=num_steps, peak=1.0, warmup_fraction=0.03, schedule="cosine"
            )
            > 0
        )
