import numpy as np
import pytest

from tests.bench.fusion.measure import sizes_of
from tests.bench.fusion.skills import changes
from tests.bench.fusion.tasks import MOST, TASKS, Group, shuffled, swapped
from tests.bench.fusion.train import training_batch
from tests.bench.fusion.words import FIRST, VERBS
from tests.bench.fusion.world import CELL, EMPTY, GRID, NOISE, Scenes, draw


def make(task: str, samples: int = 400, images: int = 8, seed: int = 0) -> Group:
    return TASKS[task](np.random.default_rng(seed), samples, images)


def number(group: Group, kind: str) -> np.ndarray:
    return group.answers_S - FIRST[kind]


def asked(group: Group, kind: str, place: int = 1) -> np.ndarray:
    return group.questions_ST[:, place] - FIRST[kind]


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_makes_the_same_samples_again_and_another_one_others(task: str) -> None:
    make_anew = training_batch.__wrapped__
    once, again, other = (make_anew(task, seed, 3) for seed in (0, 0, 1))
    assert once.pictures.pixels().equal(again.pictures.pixels())
    assert once.pictures.pixels().equal(once.pictures.pixels())
    assert (once.answers_S == again.answers_S).all()
    assert once.answers_S.tolist() != other.answers_S.tolist()


@pytest.mark.parametrize("task", TASKS)
def test_every_number_of_pictures_has_samples_and_no_answer_is_much_liked(task: str) -> None:
    for images in sizes_of(task):
        group = make(task, images=images)
        assert group.scenes.letters_SNC.shape == (400, images, GRID**2)
        assert (np.diff(group.marks_SN) > 0).all()
    _, often = np.unique(make(task, samples=4000).answers_S, return_counts=True)
    assert often.max() < 2 * often.mean()


def test_one_letter_in_one_picture_makes_the_difference() -> None:
    group = make("difference")
    usual_SC = np.median(group.scenes.letters_SNC, axis=1)
    differs_SNC = group.scenes.letters_SNC != usual_SC[:, None]
    assert (differs_SNC.sum((1, 2)) == 1).all()
    assert (differs_SNC.any(1).argmax(1) == number(group, "cell")).all()


def test_the_last_letter_of_the_asked_colour_is_the_answer_to_order() -> None:
    group = make("order")
    is_it_SNC = group.scenes.colours_SNC == asked(group, "colour")[:, None, None]
    is_it_SNC &= group.scenes.letters_SNC != EMPTY
    assert (is_it_SNC.sum((1, 2)) == 4).all()
    last_S = is_it_SNC.shape[1] - 1 - is_it_SNC.any(2)[:, ::-1].argmax(1)
    rows = np.arange(len(last_S))
    cell_S = is_it_SNC[rows, last_S].argmax(1)
    assert (group.scenes.letters_SNC[rows, last_S, cell_S] == number(group, "letter")).all()


def test_every_letter_of_the_ring_stands_in_two_views() -> None:
    group = make("count")
    is_it_SNC = group.scenes.letters_SNC == asked(group, "letter")[:, None, None]
    assert (is_it_SNC.sum((1, 2)) == 2 * number(group, "count")).all()
    assert number(group, "count").max() == MOST - 1
    views = group.scenes.letters_SNC.reshape(400, 8, GRID, GRID)
    assert (views[..., 2:] == np.roll(views, -1, axis=1)[..., :2]).all()


def test_the_odd_picture_has_letters_that_all_others_have_not() -> None:
    group = make("odd")
    assert group.place_S is not None
    usual_SC = np.median(group.scenes.letters_SNC, axis=1)
    differs_SN = (group.scenes.letters_SNC != usual_SC[:, None]).any(2)
    # Rarely all chosen cells are empty: then there is nothing to be seen.
    assert differs_SN.any(1).mean() > 0.98
    seen = differs_SN.any(1)
    assert (differs_SN.argmax(1) == group.place_S)[seen].all()
    rows = np.arange(len(seen))
    assert (group.marks_SN[rows, group.place_S] == number(group, "mark")).all()


def test_the_needle_stands_on_the_only_paper_of_its_tint() -> None:
    group = make("needle")
    is_there_SN = group.scenes.tints_SN == asked(group, "tint", 2)[:, None]
    assert (is_there_SN.sum(1) == 1).all()
    rows, place_S = np.arange(400), is_there_SN.argmax(1)
    letters_SC = group.scenes.letters_SNC[rows, place_S]
    is_it_SC = group.scenes.colours_SNC[rows, place_S] == asked(group, "colour")[:, None]
    is_it_SC &= letters_SC != EMPTY
    assert (is_it_SC.sum(1) == 1).all()
    assert (letters_SC[is_it_SC] == number(group, "letter")).all()


def test_the_odd_picture_is_followed_when_pictures_are_shuffled() -> None:
    group = make("odd")
    moved = shuffled(np.random.default_rng(1), group)
    rows = np.arange(400)
    assert group.place_S is not None
    assert moved.place_S is not None
    assert (moved.place_S != group.place_S).any()
    before = group.scenes.letters_SNC[rows, group.place_S]
    assert (before == moved.scenes.letters_SNC[rows, moved.place_S]).all()
    assert (moved.answers_S == FIRST["mark"] + moved.marks_SN[rows, moved.place_S]).all()


def test_swapping_leaves_question_and_answer_and_takes_a_neighbours_pictures() -> None:
    group = make("needle")
    other = swapped(group)
    assert (other.answers_S == group.answers_S).all()
    assert (other.scenes.letters_SNC[1:] == group.scenes.letters_SNC[:-1]).all()


def test_a_letter_is_printed_in_its_cell_alone() -> None:
    letters_SNC = np.full((1, 1, GRID**2), EMPTY)
    letters_SNC[0, 0, 6] = 2
    zeros = np.zeros_like(letters_SNC)
    scenes = Scenes(letters_SNC, zeros, zeros, np.zeros((1, 1), np.int64))
    red_HW = draw(np.random.default_rng(0), scenes)[0, 0, 0]
    cells = red_HW.reshape(GRID, CELL, GRID, CELL).mean((1, 3))
    assert cells.argmax() == 6
    assert np.sort(cells.ravel())[-2] < NOISE / 2


def test_what_is_said_of_changes_is_so() -> None:
    group, said_SNC = changes(np.random.default_rng(0), 50, 2)
    first, second = group.scenes.letters_SNC.swapaxes(0, 1)
    told = said_SNC[:, 1] >= 0
    assert (told == (first != EMPTY)).all()
    assert ((said_SNC[:, 1] == FIRST["changed"] + 1) == (first != second))[told].all()
    assert group.questions_ST[0, 0] == VERBS.index("nothing")
