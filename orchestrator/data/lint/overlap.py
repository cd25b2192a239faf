"""Samples to learn from that are held out as well: what is measured is then memory.

A question that occurs in both is no overlap. The same media are, and so are the same words
about media of the same names.

Letters: N samples to learn from; H held-out samples; M media; S suspects.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.data.lint.compare import Comparer
from orchestrator.data.lint.duplicates import not_compared
from orchestrator.data.lint.finding import Draft, Finding, Pick
from orchestrator.data.lint.hashing import Hashes, mix
from orchestrator.data.lint.survey import Bools, Ints, Survey, spread
from orchestrator.data.lint.tables import IndexTables

_NOWHERE = -1

_SAME = Finding(
    name="Training samples that are in the held-out data too",
    count=0,
    share=0.0,
    examples=(),
    remedy="Remove them from data.train, or hold other samples out",
    severity="warning",
    detail="They show the same media, or say the same about media of the same names: the "
    "held-out figures come out too good.",
)
_SHARED = Finding(
    name="Training samples that share an image with the held-out data",
    count=0,
    share=0.0,
    examples=(),
    remedy="Split the data by image, not by question, unless the image is a common reference",
    severity="note",
    detail="Some, not all, of their images are in a held-out sample.",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a job's data, and what was found in it."""

    tables: IndexTables
    found: Survey


def check_overlap(train: Part, held_out: Part, comparer: Comparer) -> Iterator[Draft]:
    """Look for samples, and single images, that are in both parts."""
    twin_N, unread = _twins(train, held_out, comparer)
    same = np.flatnonzero(twin_N != _NOWHERE)
    num_samples = train.found.num_samples
    if len(same):
        finding = replace(
            _SAME,
            count=len(same),
            share=len(same) / num_samples,
            detail=_SAME.detail + not_compared(unread),
        )
        yield Draft(finding, tuple(_pick(n, "is also", int(twin_N[n])) for n in spread(same)))
    medium_N = _shared_media(train.found, held_out.found, twin_N != _NOWHERE)
    sharing = np.flatnonzero(medium_N != _NOWHERE)
    if len(sharing):
        yield Draft(
            replace(_SHARED, count=len(sharing), share=len(sharing) / num_samples),
            tuple(
                Pick(n, "is in the held-out data", train.found.position_of(int(medium_N[n]))[1])
                for n in spread(sharing)
            ),
        )


def _twins(train: Part, held_out: Part, comparer: Comparer) -> tuple[Ints, int]:
    """For each sample a held-out one that is the same, and how many were not compared."""
    ours, theirs = train.found.arrays, held_out.found.arrays
    has_media_N = ours.num_media_N > 0
    twin_N = _matches(mix(ours.text_N) + ours.uris_N, mix(theirs.text_N) + theirs.uris_N)
    by_place_N = _matches(ours.places_N, theirs.places_N)
    twin_N = np.where(has_media_N & (by_place_N != _NOWHERE), by_place_N, twin_N)
    is_open_N = has_media_N & (twin_N == _NOWHERE)
    suspects_S = np.flatnonzero(is_open_N & np.isin(ours.likes_N, theirs.likes_N))
    likely = np.flatnonzero(np.isin(theirs.likes_N, ours.likes_N[suspects_S]))
    contents = comparer.contents(train.tables, suspects_S, ours.num_media_N)
    held_contents = comparer.contents(held_out.tables, likely, theirs.num_media_N)
    owner = {content: sample for sample, content in held_contents.items()}
    for sample, content in contents.items():
        twin_N[sample] = owner.get(content, _NOWHERE)
    unread = max(len(suspects_S) - len(contents), len(likely) - len(held_contents))
    return twin_N, unread


def _matches(hash_N: Hashes, hash_H: Hashes) -> Ints:
    """For each hash, the place of an equal one among the others, or -1."""
    order_H = np.argsort(hash_H, kind="stable")
    if not len(order_H):
        return np.full(len(hash_N), _NOWHERE)
    place_N = np.searchsorted(hash_H, hash_N, sorter=order_H)
    match_N = order_H[np.minimum(place_N, len(order_H) - 1)]
    matches_N: Ints = np.where(hash_H[match_N] == hash_N, match_N, _NOWHERE)
    return matches_N


def _shared_media(train: Survey, held_out: Survey, is_known_N: Bools) -> Ints:
    """For each sample that is not known to be in both, a medium that is, or -1."""
    medium_N = np.full(train.num_samples, _NOWHERE)
    shared = np.flatnonzero(np.isin(train.arrays.place_M, held_out.arrays.place_M))
    sample_of_shared = train.sample_M[shared]
    is_news = ~is_known_N[sample_of_shared]
    medium_N[sample_of_shared[is_news]] = shared[is_news]
    return medium_N


def _pick(sample: int, what: str, twin: int) -> Pick:
    return Pick(sample, what, twin=twin, twin_held_out=True)
