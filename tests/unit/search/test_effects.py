"""What a field does by itself, and how sure that is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.search.effects import Effect, Point, effects

IMAGES, BATCH = "images.max_images", "train.global_batch"


def points(images: tuple[int, ...], batches: tuple[int, ...], noise: float) -> list[Point]:
    """An outcome that falls with images and grows with the batch."""
    rng = np.random.default_rng(3)
    return [
        ({IMAGES: i, BATCH: b}, 5.0 - 0.5 * i + 0.01 * b + noise * float(rng.normal()))
        for i, b in itertools.product(images, batches)
    ]


def means(effect: Effect) -> list[float]:
    return [level.mean for level in effect.levels]


@settings(max_examples=25)
@given(st.permutations(range(12)))
def test_what_adds_up_is_found_exactly_in_any_order(order: list[int]) -> None:
    given_points = points((2, 4, 6), (8, 16, 32, 64), 0.0)
    of_images, of_batch = effects([given_points[place] for place in order], [IMAGES, BATCH])
    assert np.diff(means(of_images)) == pytest.approx([-1.0, -1.0])
    assert np.diff(means(of_batch)) == pytest.approx([0.08, 0.16, 0.32])
    assert [level.label for level in of_batch.levels] == ["8", "16", "32", "64"]
    assert all(level.high - level.low < 1e-6 for level in of_images.levels)  # type: ignore[operator]


def test_a_trial_that_is_missing_does_not_tilt_the_others() -> None:
    whole = points((2, 4, 6), (8, 64), 0.0)
    # Without the best of the small batches: a plain mean would blame the batch.
    [_, of_batch] = effects(
        [p for p in whole if p[0] != {IMAGES: 6, BATCH: 8}], [IMAGES, BATCH]
    )
    assert np.diff(means(of_batch)) == pytest.approx([0.56])


def test_noise_widens_the_intervals_which_hold_the_truth_as_often_as_they_say() -> None:
    hits, total = 0, 0
    rng = np.random.default_rng(0)
    for _ in range(200):
        noisy = [
            (values, outcome + 0.1 * float(rng.normal()))
            for values, outcome in points((2, 4, 6), (8, 16, 32, 64), 0.0)
        ]
        for level, truth in zip(
            effects(noisy, [IMAGES, BATCH])[0].levels, (4.3, 3.3, 2.3), strict=True
        ):
            assert level.low is not None
            assert level.high is not None
            hits, total = hits + (level.low <= truth <= level.high), total + 1
    assert 0.92 <= hits / total <= 0.98


def test_as_many_trials_as_answers_leave_nothing_to_be_sure_of() -> None:
    [effect] = effects([({IMAGES: 2}, 1.0), ({IMAGES: 4}, 3.0)], [IMAGES])
    assert means(effect) == pytest.approx([1.0, 3.0])
    assert effect.levels[0].low is None
    assert effect.spread == pytest.approx(2.0)


def test_many_numbers_are_put_into_groups_of_neighbours() -> None:
    drawn: list[Point] = [({"train.learning_rate": 10.0**-n}, float(n)) for n in range(1, 10)]
    [effect] = effects(drawn, ["train.learning_rate"])
    assert [level.trials for level in effect.levels] == [3, 3, 3]
    assert means(effect) == pytest.approx([8.0, 5.0, 2.0])
    assert effect.levels[0].label == "1e-09 to 1e-07"


@pytest.mark.parametrize("given_points", [[], [({IMAGES: 2}, 1.0)], [({IMAGES: 2}, 1.0)] * 3])
def test_what_was_not_varied_has_no_effect(given_points: list[Point]) -> None:
    assert effects(given_points, [IMAGES]) == []
