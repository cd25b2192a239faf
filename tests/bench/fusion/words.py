"""The words of questions and answers: one small vocabulary for all tasks.

Letters: S samples, T words of a question.
"""

from typing import Final

import numpy as np

from tests.bench.fusion.world import CELLS, NUM_COLOURS, NUM_LETTERS, NUM_TINTS, Ints

NUM_MARKS: Final = 32
"""Numbers that a picture can go by: as many as the largest group has pictures."""
ASKING: Final = 3
"""T: what is to be done, and up to two words more."""
VERBS: Final = ("difference", "order", "count", "odd", "needle", "which", "nothing")
SIZES: Final = {
    "verb": len(VERBS),
    "colour": NUM_COLOURS,
    "letter": NUM_LETTERS,
    "tint": NUM_TINTS,
    "cell": CELLS,
    "count": 6,
    "mark": NUM_MARKS,
    "changed": 2,
}
"""Words of each kind."""
FIRST: Final = dict(zip(SIZES, np.cumsum([0, *SIZES.values()])[:-1].tolist(), strict=True))
NUM_WORDS: Final = sum(SIZES.values())


def word(kind: str, number_S: Ints) -> Ints:
    """The words for numbers of one kind."""
    return FIRST[kind] + number_S


def ask(verb: str, samples: int, **asked: Ints) -> Ints:
    """Questions: what is to be done, and what is asked for.

    Args:
        verb: What is to be done.
        samples: S.
        **asked: By kind, a number for each sample; two kinds at most.

    Returns:
        Words, ``[S, T]``.
    """
    columns = [np.full(samples, VERBS.index(verb))]
    columns += [word(kind, number_S) for kind, number_S in asked.items()]
    while len(columns) < ASKING:
        columns.append(np.full(samples, VERBS.index("nothing")))
    return np.stack(columns, 1)
