"""Availability traces: which machine comes, gets a notice, goes, and when."""

import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

ChangeKind: TypeAlias = Literal["up", "notice", "down", "killed", "frozen"]
"""``killed``: a worker's process dies, its node lives. ``frozen``: a node no longer answers."""

KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something happens to one node."""

    at_s: float
    node: str
    kind: ChangeKind
    deadline_s: float | None = None
    """Of a notice: when the node goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What a market of machines offered, from 0 to ``end_s``."""

    name: str
    end_s: float
    changes: tuple[Change, ...]
    """By time; what happens at one time is in the order of happening."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spell:
    """One node's life, and how it ends."""

    node: str
    from_s: float
    to_s: float
    end: Literal["down", "frozen"] = "down"
    notice_s: float = 0.0
    """So long before the end a notice comes; 0: none."""


def trace_of(
    name: str, spells: Iterable[Spell], *, end_s: float, killed: Iterable[Change] = ()
) -> Trace:
    """Put lives together, and deaths of processes within them; what is after the end is cut."""
    changes = [*killed]
    for spell in spells:
        changes.append(Change(at_s=spell.from_s, node=spell.node, kind="up"))
        changes.append(Change(at_s=spell.to_s, node=spell.node, kind=spell.end))
        if spell.notice_s > 0:
            at_s = max(spell.from_s, spell.to_s - spell.notice_s)
            changes.append(
                Change(at_s=at_s, node=spell.node, kind="notice", deadline_s=spell.to_s)
            )
    in_order = sorted(changes, key=lambda change: (change.at_s, KINDS.index(change.kind)))
    return Trace(
        name=name,
        end_s=end_s,
        changes=tuple(change for change in in_order if change.at_s < end_s),
    )


def from_counts(name: str, counts: Sequence[tuple[float, int]], *, notice_s: float) -> Trace:
    """A trace of which only the number of nodes is known, at some times.

    The oldest are taken to go first, each ``notice_s`` after a notice; the last time is the
    trace's end.
    """
    alive: deque[tuple[str, float]] = deque()
    spells: list[Spell] = []
    names = (f"node{number}" for number in itertools.count())
    end_s = counts[-1][0]
    for at_s, nodes in counts:
        while len(alive) < nodes:
            alive.append((next(names), at_s))
        while len(alive) > nodes:
            node, from_s = alive.popleft()
            spells.append(Spell(node=node, from_s=from_s, to_s=at_s, notice_s=notice_s))
    spells += [Spell(node=node, from_s=from_s, to_s=end_s + 1) for node, from_s in alive]
    return trace_of(name, spells, end_s=end_s)


def cut(trace: Trace, end_s: float) -> Trace:
    """The trace up to a time; one that is shorter stays as it is."""
    if end_s >= trace.end_s:
        return trace
    kept = tuple(change for change in trace.changes if change.at_s < end_s)
    return replace(trace, end_s=end_s, changes=kept)


def node_counts(trace: Trace) -> list[tuple[float, int]]:
    """How many nodes there are from each time on; the last entry is the trace's end."""
    counts, nodes = [(0.0, 0)], 0
    for change in trace.changes:
        step = {"up": 1, "down": -1, "frozen": -1}.get(change.kind, 0)
        if step:
            nodes += step
            counts.append((change.at_s, nodes))
    return [*counts, (trace.end_s, nodes)]


def node_seconds(trace: Trace, most: int) -> float:
    """What has to be paid for: every node from its coming to its going, ``most`` at a time."""
    return sum(
        (later_s - at_s) * min(nodes, most)
        for (at_s, nodes), (later_s, _) in itertools.pairwise(node_counts(trace))
    )
