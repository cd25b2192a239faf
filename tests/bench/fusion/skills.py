"""What the base learns on the way to two of the tasks: to point, and to see what changed.

A model that a user has was taught such things at length; with them it takes a thousand steps
and not a hundred thousand until it compares pictures. No method is measured on these.

Letters as in ``world`` and ``tasks``.
"""

from dataclasses import replace

import numpy as np

from tests.bench.fusion.tasks import Group, another, hide, one_scene, some_marks
from tests.bench.fusion.words import ask, word
from tests.bench.fusion.world import EMPTY, Ints


def which(rng: np.random.Generator, samples: int, images: int) -> Group:
    """Which picture is on paper of the asked tint?"""
    hidden = hide(rng, samples, images)
    asked_ST = ask("which", samples, tint=hidden.tint_S)
    return Group(hidden.scenes, hidden.marks_SN, asked_ST, word("mark", hidden.mark_S))


def changes(rng: np.random.Generator, samples: int, images: int) -> tuple[Group, Ints]:
    """Pictures of one scene; in about half the cells, one after the first has a change.

    Returns:
        The group, without a question; and what is to be said at each token, ``[S, N, C]``: is
        the letter another than in the pictures before; -1 in the first picture and in cells
        that are empty.
    """
    scenes = one_scene(rng, samples, images)
    letters_SNC = scenes.letters_SNC
    # Below 1: no picture has one.
    changed_SC = rng.integers(2 - images, images, (samples, letters_SNC.shape[2]))
    has_changed_SNC = np.arange(images)[:, None] == changed_SC[:, None]
    has_changed_SNC &= letters_SNC != EMPTY
    has_changed_SNC[:, 0] = False
    new_SNC = np.where(has_changed_SNC, another(rng, letters_SNC), letters_SNC)
    said_SNC = word("changed", has_changed_SNC.astype(np.int64))
    said_SNC[:, 0] = -1
    said_SNC[letters_SNC == EMPTY] = -1
    nothing = np.zeros(samples, np.int64)
    marks_SN = some_marks(rng, samples, images)
    scenes = replace(scenes, letters_SNC=new_SNC)
    return Group(scenes, marks_SN, ask("nothing", samples), nothing), said_SNC
