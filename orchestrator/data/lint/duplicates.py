"""Samples that are there more than once: the same media and the same text.

Suspected by what the index holds (sizes in bytes and pixels, a hash of the text); where the
media lie in different places, their content decides.

Letters: N samples; S suspects.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from orchestrator.data.lint.compare import Comparer
from orchestrator.data.lint.finding import Draft, Finding, Pick
from orchestrator.data.lint.hashing import Hashes, mix
from orchestrator.data.lint.survey import Ints, Survey, spread
from orchestrator.data.lint.tables import IndexTables
from orchestrator.data.lint.words import of

_FINDING = Finding(
    name="Duplicate samples",
    count=0,
    share=0.0,
    examples=(),
    remedy="Remove them; to count samples more often on purpose, give their data set a weight",
    severity="warning",
    detail="The same media with the same words, beyond the first of each.",
)


def check_duplicates(found: Survey, tables: IndexTables, comparer: Comparer) -> Iterator[Draft]:
    """Look for samples that repeat an earlier one."""
    text_N = mix(found.arrays.text_N)
    first_N = _first_alike(text_N + found.arrays.places_N)
    suspects_S = _suspects(found, first_N, text_N + found.arrays.likes_N)
    contents = comparer.contents(tables, suspects_S, found.arrays.num_media_N)
    earliest: dict[tuple[int, tuple[str, ...]], int] = {}
    for sample in sorted(contents):
        alike = (int(text_N[sample]), contents[sample])
        first_N[sample] = earliest.setdefault(alike, sample)
    repeats = np.flatnonzero(first_N != np.arange(len(first_N)))
    unread = len(suspects_S) - len(contents)
    if not len(repeats):
        return
    finding = replace(
        _FINDING,
        count=len(repeats),
        share=len(repeats) / found.num_samples,
        detail=_FINDING.detail + not_compared(unread),
    )
    yield Draft(
        finding,
        tuple(
            Pick(n, "says and shows the same as", twin=int(first_N[n])) for n in spread(repeats)
        ),
    )


def not_compared(unread: int) -> str:
    """Say how many suspects were left as they are."""
    if not unread:
        return ""
    return f" {of(unread, 'more sample')} may be, and the content was not compared."


def _suspects(found: Survey, first_N: Ints, like_N: Hashes) -> Ints:
    """Samples like others in bytes, pixels and words, of which none is known to be the same."""
    is_open_N = (first_N == np.arange(len(first_N))) & (found.arrays.num_media_N > 0)
    open_S = np.flatnonzero(is_open_N)
    _, which_S, counts = np.unique(like_N[open_S], return_inverse=True, return_counts=True)
    several = counts[which_S] > 1
    # Those that are like each other side by side: a limit leaves whole groups out.
    suspects_S: Ints = open_S[several][np.argsort(which_S[several], kind="stable")]
    return suspects_S


def _first_alike(hash_N: Hashes) -> Ints:
    """For each sample, the number of the first that has the same hash."""
    _, first, which_N = np.unique(hash_N, return_index=True, return_inverse=True)
    first_N: Ints = first[which_N]
    return first_N
