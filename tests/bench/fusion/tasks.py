"""Five questions that no single picture answers, made on the fly from a seed.

Whatever a task draws, it draws from the generator that it is handed. Of each, one sample holds
for all N: a question of few words and one word as the answer. See ``world`` for the letters.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tests.bench.fusion.words import NUM_MARKS, ask, word
from tests.bench.fusion.world import (
    CELLS,
    EMPTY,
    GRID,
    NUM_COLOURS,
    NUM_LETTERS,
    NUM_SHIFTS,
    NUM_TINTS,
    Ints,
    Scenes,
)

CROWDED: Final = 0.7
"""The share of cells that have a letter where nothing else is asked for."""
MOST: Final = 4
"""Counts go from 0 to one less."""
ODDITIES: Final = 6
"""Cells of the odd picture that differ, empty ones among them."""
EVENTS: Final = 4
"""Pictures that matter to an order, where there are as many."""


@dataclass(frozen=True)
class Group:
    """A batch of samples with equally many pictures."""

    scenes: Scenes
    marks_SN: Ints
    """The number that each picture goes by: ascending, not all there."""
    questions_ST: Ints
    answers_S: Ints
    """Words."""
    place_S: Ints | None = None
    """The picture that is the answer, where the answer is a picture's number."""


Task = Callable[[np.random.Generator, int, int], Group]


def difference(rng: np.random.Generator, samples: int, images: int) -> Group:
    """All pictures show one scene, but for a letter in one of them: in which cell?"""
    scenes = one_scene(rng, samples, images)
    rows = np.arange(samples)
    cell_S = rng.integers(0, CELLS, samples)
    place_S = rng.integers(0, images, samples)
    old_S = rng.integers(0, NUM_LETTERS, samples)
    scenes.letters_SNC[rows, :, cell_S] = old_S[:, None]
    scenes.letters_SNC[rows, place_S, cell_S] = another(rng, old_S)
    return Group(
        scenes=scenes,
        marks_SN=some_marks(rng, samples, images),
        questions_ST=ask("difference", samples),
        answers_S=word("cell", cell_S),
    )


def order(rng: np.random.Generator, samples: int, images: int) -> Group:
    """Some pictures have one letter of the asked colour: which of these comes last?"""
    asked_S = rng.integers(0, NUM_COLOURS, samples)
    scenes = clutter(rng, samples, images, without_S=asked_S)
    events = min(EVENTS, images)
    places_SE = np.sort(_distinct(rng, samples, images, events), axis=1)
    letters_SE = _distinct(rng, samples, NUM_LETTERS, events)
    for place_S, letter_S in zip(places_SE.T, letters_SE.T, strict=True):
        put(rng, scenes, place_S, letter_S, asked_S)
    return Group(
        scenes=scenes,
        marks_SN=some_marks(rng, samples, images),
        questions_ST=ask("order", samples, colour=asked_S),
        answers_S=word("letter", letters_SE[:, -1]),
    )


def count(rng: np.random.Generator, samples: int, images: int) -> Group:
    """The pictures are views all round, each half over the next: how many of a letter?"""
    cells = GRID * GRID // 2 * images
    asked_S = rng.integers(0, NUM_LETTERS, samples)
    letters_SX = another(rng, np.repeat(asked_S[:, None], cells, 1))
    letters_SX[rng.random(letters_SX.shape) > CROWDED] = EMPTY
    wanted_S = rng.integers(0, MOST, samples)
    rank_SX = rng.random(letters_SX.shape).argsort(1).argsort(1)
    letters_SX = np.where(rank_SX < wanted_S[:, None], asked_S[:, None], letters_SX)
    colours_SX = rng.integers(0, NUM_COLOURS, letters_SX.shape)
    shifts_SX = rng.integers(0, NUM_SHIFTS, letters_SX.shape)
    views = (_views(ring, images) for ring in (letters_SX, colours_SX, shifts_SX))
    tints_SN = np.repeat(rng.integers(0, NUM_TINTS, (samples, 1)), images, 1)
    return Group(
        scenes=Scenes(*views, tints_SN),
        marks_SN=some_marks(rng, samples, images),
        questions_ST=ask("count", samples, letter=asked_S),
        answers_S=word("count", wanted_S),
    )


def odd(rng: np.random.Generator, samples: int, images: int) -> Group:
    """All pictures show one scene on any paper; a few letters differ in one: in which?"""
    scenes = one_scene(rng, samples, images)
    rows, odd_S = np.arange(samples), rng.integers(0, images, samples)
    old_SC = scenes.letters_SNC[:, 0]
    is_new_SC = rng.random(old_SC.shape).argsort(1).argsort(1) < ODDITIES
    is_new_SC &= old_SC != EMPTY
    scenes.letters_SNC[rows, odd_S] = np.where(is_new_SC, another(rng, old_SC), old_SC)
    marks_SN = some_marks(rng, samples, images)
    return Group(
        scenes=replace(scenes, tints_SN=rng.integers(0, NUM_TINTS, (samples, images))),
        marks_SN=marks_SN,
        questions_ST=ask("odd", samples),
        answers_S=word("mark", marks_SN[rows, odd_S]),
        place_S=odd_S,
    )


def needle(rng: np.random.Generator, samples: int, images: int) -> Group:
    """One picture is on paper of the asked tint: which letter in it has the asked colour?"""
    hidden = hide(rng, samples, images)
    return Group(
        scenes=hidden.scenes,
        marks_SN=hidden.marks_SN,
        questions_ST=ask("needle", samples, colour=hidden.colour_S, tint=hidden.tint_S),
        answers_S=word("letter", hidden.letter_S),
    )


@dataclass(frozen=True)
class Hidden:
    """Pictures with a letter of one colour each; only one of them is on paper of its tint."""

    scenes: Scenes
    marks_SN: Ints
    colour_S: Ints
    tint_S: Ints
    letter_S: Ints
    cell_S: Ints
    mark_S: Ints


def hide(rng: np.random.Generator, samples: int, images: int) -> Hidden:
    """Make what ``needle`` asks for."""
    colour_S = rng.integers(0, NUM_COLOURS, samples)
    tint_S = rng.integers(0, NUM_TINTS, samples)
    scenes = clutter(rng, samples, images, without_S=colour_S)
    rows, place_S = np.arange(samples), rng.integers(0, images, samples)
    letters_SN = rng.integers(0, NUM_LETTERS, (samples, images))
    cells_SN = np.stack(
        [
            put(rng, scenes, np.full(samples, place), letters_SN[:, place], colour_S)
            for place in range(images)
        ],
        1,
    )
    tints_SN = (tint_S[:, None] + rng.integers(1, NUM_TINTS, (samples, images))) % NUM_TINTS
    tints_SN[rows, place_S] = tint_S
    marks_SN = some_marks(rng, samples, images)
    return Hidden(
        scenes=replace(scenes, tints_SN=tints_SN),
        marks_SN=marks_SN,
        colour_S=colour_S,
        tint_S=tint_S,
        letter_S=letters_SN[rows, place_S],
        cell_S=cells_SN[rows, place_S],
        mark_S=marks_SN[rows, place_S],
    )


TASKS: Final[dict[str, Task]] = {
    "difference": difference,
    "order": order,
    "count": count,
    "odd": odd,
    "needle": needle,
}
FEWEST: Final = {"odd": 3}
"""Pictures that a task needs, where two are not enough."""


def shuffled(rng: np.random.Generator, group: Group) -> Group:
    """The same pictures in another order; where the answer is a picture, it follows it."""
    samples, images = group.marks_SN.shape
    order_SN = _distinct(rng, samples, images, images)
    rows = np.arange(samples)[:, None]
    scenes = group.scenes.pick(rows, order_SN)
    if group.place_S is None:
        return replace(group, scenes=scenes)
    place_S = (order_SN == group.place_S[:, None]).argmax(1)
    answers_S = word("mark", group.marks_SN[rows[:, 0], place_S])
    return replace(group, scenes=scenes, place_S=place_S, answers_S=answers_S)


def swapped(group: Group) -> Group:
    """Each sample with the pictures of its neighbour, question and answer as they were."""
    neighbours = np.roll(np.arange(len(group.marks_SN)), 1)
    return replace(group, scenes=group.scenes.pick(neighbours))


def one_scene(rng: np.random.Generator, samples: int, images: int) -> Scenes:
    """The same letters in all pictures of a sample."""
    return clutter(rng, samples, 1).repeat(images)


def clutter(
    rng: np.random.Generator, samples: int, images: int, without_S: Ints | None = None
) -> Scenes:
    """Letters anywhere, of any colour but the one that is left out."""
    shape = (samples, images, CELLS)
    letters_SNC = rng.integers(0, NUM_LETTERS, shape)
    letters_SNC[rng.random(shape) > CROWDED] = EMPTY
    if without_S is None:
        colours_SNC = rng.integers(0, NUM_COLOURS, shape)
    else:
        others = rng.integers(1, NUM_COLOURS, shape)
        colours_SNC = (without_S[:, None, None] + others) % NUM_COLOURS
    shifts_SNC = rng.integers(0, NUM_SHIFTS, shape)
    return Scenes(letters_SNC, colours_SNC, shifts_SNC, rng.integers(0, NUM_TINTS, shape[:2]))


def put(
    rng: np.random.Generator, scenes: Scenes, place_S: Ints, letter_S: Ints, colour_S: Ints
) -> Ints:
    """Print a letter into any cell of one picture of each sample; returns the cells."""
    rows = np.arange(len(place_S))
    cell_S = rng.integers(0, CELLS, len(place_S))
    scenes.letters_SNC[rows, place_S, cell_S] = letter_S
    scenes.colours_SNC[rows, place_S, cell_S] = colour_S
    return cell_S


def _views(ring_SX: Ints, images: int) -> Ints:
    """Windows of a ring that stands column after column, each half over the next."""
    step = GRID // 2
    ring = ring_SX.reshape(len(ring_SX), -1, GRID)
    ring = np.concatenate([ring, ring[:, :step]], 1)
    windows = [ring[:, step * view : step * view + GRID] for view in range(images)]
    return np.stack(windows, 1).swapaxes(2, 3).reshape(len(ring_SX), images, CELLS)


def some_marks(rng: np.random.Generator, samples: int, images: int) -> Ints:
    # Any of them, so that a number that is seldom reached was learned as well as the first.
    return np.sort(_distinct(rng, samples, NUM_MARKS, images), axis=1)


def another(rng: np.random.Generator, letters: Ints) -> Ints:
    """For each letter a different one."""
    return (letters + rng.integers(1, NUM_LETTERS, letters.shape)) % NUM_LETTERS


def _distinct(rng: np.random.Generator, samples: int, of: int, taken: int) -> Ints:
    """A few numbers below ``of`` for each sample, in any order, none twice."""
    return rng.random((samples, of)).argsort(1)[:, :taken]
