"""Traces made up in the shapes that published ones have.

Nothing is copied from them: the shapes alone are, with round figures. Published traces of spot
markets show that machines are lost in groups, within a zone and within minutes (Bamboo,
NSDI'23), that the number available drifts with the time of day and returns in steps
(Parcae, NSDI'24; SkyServe, EuroSys'25), and that quiet markets lose a machine now and then.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from orchestrator.simulate.traces import Change, Spell, Trace, trace_of

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
ZONES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """How machines of one shape come and go, a place in the fleet at a time."""

    life_s: float
    """Mean life; lives are exponential."""
    absence_s: float
    """Mean time until another machine takes the place of a lost one."""
    notice_s: float = 120.0
    sudden: float = 0.05
    """Share of lives that end without a notice."""
    frozen: float = 0.02
    """Share of lives that end in silence."""
    killed_per_hour: float = 0.001
    """Deaths of a worker's process on a node that lives."""
    start_s: float = 300.0
    """The first machines arrive within this time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """A revocation of many machines of one zone at once."""

    at_s: float
    zone: int
    share: float


CALM = Market(life_s=5 * DAY_S, absence_s=600)
DIURNAL = Market(life_s=3 * DAY_S, absence_s=600)
BURSTY = Market(life_s=1 * DAY_S, absence_s=1800)
BURSTS_PER_HOUR = 0.5


def calm(num_nodes: int, hours: float, seed: int) -> Trace:
    """One machine in five goes within a day, each for itself, and is soon replaced."""
    return _trace("calm", CALM, (num_nodes, hours, seed), lambda _, spells: spells)


def diurnal(num_nodes: int, hours: float, seed: int) -> Trace:
    """All machines by night, half of them at noon; the trace begins at midnight."""
    num_days = math.ceil(hours / 24)

    def by_night(slot: int, spells: Iterator[Spell]) -> Iterator[Spell]:
        # Places are given up in order: half and a quarter, and a quarter of a cosine.
        height = 4 * (slot + 0.5) / num_nodes - 3
        if height <= -1:
            yield from spells
            return
        off_s = math.acos(height) / math.tau * DAY_S
        gaps = [(day * DAY_S + off_s, (day + 1) * DAY_S - off_s) for day in range(num_days)]
        for spell in spells:
            yield from _without(spell, gaps)

    return _trace("diurnal", DIURNAL, (num_nodes, hours, seed), by_night)


def bursty(num_nodes: int, hours: float, seed: int) -> Trace:
    """Every other hour a zone loses a large part of its machines within a minute or two."""
    rng = np.random.default_rng((seed, len("bursty"), 1))
    bursts = [
        Burst(at_s=at_s, zone=int(rng.integers(ZONES)), share=float(rng.uniform(0.2, 0.9)))
        for at_s in _times(rng, BURSTS_PER_HOUR / HOUR_S, hours * HOUR_S)
    ]

    def in_bursts(slot: int, spells: Iterator[Spell]) -> Iterator[Spell]:
        chance = np.random.default_rng((seed, slot, 2))
        hits_s = [
            burst.at_s + float(chance.uniform(0, 120))
            for burst in bursts
            if burst.zone == slot % ZONES and chance.random() < burst.share
        ]
        gaps = [(hit_s, hit_s + 1200 + float(chance.exponential(2400))) for hit_s in hits_s]
        for spell in spells:
            yield from _without(spell, gaps)

    return _trace("bursty", BURSTY, (num_nodes, hours, seed), in_bursts)


SHAPES: Mapping[str, Callable[[int, float, int], Trace]] = MappingProxyType(
    {"calm": calm, "diurnal": diurnal, "bursty": bursty}
)
"""By name: a trace of so many nodes over so many hours; the seed decides all that is random."""


def _trace(
    name: str,
    market: Market,
    size: tuple[int, float, int],
    shaped: Callable[[int, Iterator[Spell]], Iterator[Spell]],
) -> Trace:
    num_nodes, hours, seed = size
    end_s = hours * HOUR_S
    spells: list[Spell] = []
    killed: list[Change] = []
    for slot in range(num_nodes):
        rng = np.random.default_rng((seed, slot, len(name)))
        lives = shaped(slot, _lives(rng, market, end_s))
        for number, spell in enumerate(lives):
            # Each life is another machine.
            named = replace(spell, node=f"{slot}.{number}")
            spells.append(named)
            killed += _killed(rng, market, named)
    return trace_of(name, spells, end_s=end_s, killed=killed)


def _lives(rng: Generator, market: Market, end_s: float) -> Iterator[Spell]:
    from_s = float(rng.uniform(0, market.start_s))
    while from_s < end_s:
        to_s = from_s + float(rng.exponential(market.life_s))
        luck = rng.random()
        yield Spell(
            node="",
            from_s=from_s,
            to_s=to_s,
            end="frozen" if luck < market.frozen else "down",
            notice_s=0.0 if luck < market.frozen + market.sudden else market.notice_s,
        )
        from_s = to_s + float(rng.exponential(market.absence_s))


def _killed(rng: Generator, market: Market, spell: Spell) -> list[Change]:
    life_s = spell.to_s - spell.from_s
    return [
        Change(at_s=spell.from_s + after_s, node=spell.node, kind="killed")
        for after_s in _times(rng, market.killed_per_hour / HOUR_S, life_s)
    ]


def _times(rng: Generator, per_second: float, end_s: float) -> list[float]:
    return sorted(float(t) for t in rng.uniform(0, end_s, rng.poisson(per_second * end_s)))


def _without(spell: Spell, gaps: Sequence[tuple[float, float]]) -> list[Spell]:
    """What is left of a life if nothing is to be had within the gaps."""
    pieces = [spell]
    for gap in gaps:
        pieces = [part for piece in pieces for part in _outside(piece, *gap)]
    return pieces


def _outside(spell: Spell, from_s: float, to_s: float) -> Iterator[Spell]:
    if spell.to_s <= from_s or spell.from_s >= to_s:
        yield spell
        return
    if spell.from_s < from_s:
        # Taken back by the market, with its usual word before.
        yield replace(spell, to_s=from_s, end="down", notice_s=BURSTY.notice_s)
    if spell.to_s > to_s:
        yield replace(spell, from_s=to_s)
