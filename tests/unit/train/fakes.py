"""A model, data and a quorum small enough that a whole training takes a moment.

Cells are threads that meet where a script says who dies, who joins, and who errs. Rounds in a
script are the ``round`` of the furthest replica when an agreement is made.

Letters: S samples of a micro-batch.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from orchestrator.config.train import TrainConfig
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import Address, Part
from orchestrator.train.contracts import Departures, Learner, Membership, Wishes
from orchestrator.train.crew import Alone, Source
from orchestrator.train.halving import HalvingLearner
from orchestrator.train.loop import Loop
from orchestrator.train.rounds import Terms
from orchestrator.train.state import Replica
from tests.unit.train.small import (
    CONFIG,
    TERMS,
    Cramped,
    PlannedBatches,
    SmallLearner,
    new_tensors,
)

PATIENCE_S = 20.0
WHOLE = PlannedBatches()
Moment = Literal["before agree", "before add", "during add", "before commit"]


class KilledError(Exception):
    """Ends the thread of a cell, as SIGKILL ends a process."""


@dataclass(frozen=True)
class Death:
    """A cell dies in a round."""

    cell: int
    round: int
    moment: Moment
    witnesses: frozenset[int] = frozenset()
    """Cells for which the sum that it dies in succeeds."""


@dataclass(frozen=True)
class Script:
    """What happens to a training."""

    deaths: tuple[Death, ...] = ()
    joins: tuple[tuple[int, int], ...] = ()
    """Cell and round of newcomers."""
    doubts: tuple[tuple[int, int], ...] = ()
    """Cell and round: its first agreement fails for it alone."""
    absences: tuple[tuple[int, int], ...] = ()
    """Cell and round: the first agreement is made without it, for it is taken for dead."""
    asks: tuple[tuple[int, int, Wishes], ...] = ()
    """Cell, rounds it was in before, and what it asks of the next."""
    regroups: tuple[int, ...] = ()
    """Rounds that all stop computing in, after one micro-batch each."""
    flips: tuple[tuple[int, int], ...] = ()
    """Cell and round: a bit of its weights flips as that round ends."""


class Meeting:
    """Where cells meet: what a lighthouse and Gloo are to real ones."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._joins = dict(script.joins)
        self._doubts = set(script.doubts)
        self._absences = set(script.absences)
        self._changed = threading.Condition()
        self._alive: dict[int, Replica] = {}
        self._waiting: set[int] = set()
        self._shares: dict[int, Tensor] = {}
        self.members: tuple[int, ...] = ()
        self.round = 0
        self.number = 0
        self.successes: set[int] = set()
        """Numbers of the agreements whose sum succeeded for somebody."""

    def enter(self, cell: int, replica: Replica) -> None:
        self._alive[cell] = replica

    def leave(self, cell: int) -> None:
        with self._changed:
            self._alive.pop(cell, None)
            self._waiting.discard(cell)
            self._call_together()
            self._changed.notify_all()

    def agree(self, cell: int) -> Membership | None:
        with self._changed:
            here = self._alive[cell].progress.round
            if any(
                (d.cell, d.round, d.moment) == (cell, here, "before agree")
                for d in self._script.deaths
            ):
                raise KilledError
            self._waiting.add(cell)
            self._changed.notify_all()
            self._call_together()
            self._wait(lambda: cell not in self._waiting)
            if (cell, self.round) in self._doubts:
                self._doubts.remove((cell, self.round))
                return None
            return Membership(self.members.index(cell), self.members)

    def _call_together(self) -> None:
        at_work = [cell for cell in self._alive if cell not in self._joins]
        if not at_work:
            return
        # Everybody at work stands at one round, or one behind.
        now = max(self._alive[cell].progress.round for cell in at_work)
        due = {cell for cell in self._alive if self._joins.get(cell, 0) <= now}
        if not due <= self._waiting:
            return
        absent = {cell for cell, round_ in self._absences if round_ == now} & due
        if not any(self._alive[cell].progress.round == now for cell in due - absent):
            absent = set()
        self._absences -= {(cell, now) for cell in absent}
        due -= absent
        for cell in due:
            self._joins.pop(cell, None)
        self.members, self.round, self._shares = tuple(sorted(due)), now, {}
        self.number += 1
        self._heal()
        self._waiting -= due
        self._changed.notify_all()

    def _heal(self) -> None:
        replicas = [self._alive[cell] for cell in self.members]
        state = next(r for r in replicas if r.progress.round == self.round).to_bytes()
        for replica in replicas:
            if replica.progress.round < self.round:
                replica.load_bytes(state)

    def add(self, cell: int, payload: Tensor) -> bool:
        with self._changed:
            self._die(cell, "before add")
            self._shares[cell] = payload.clone()
            self._changed.notify_all()
            self._wait(lambda: all(self._has_spoken(member) for member in self.members))
            self._die(cell, "during add")
            if not self._succeeds_for(cell):
                payload.fill_(-1)
                return False
            self.successes.add(self.number)
            payload.copy_(torch.stack(list(self._shares.values())).sum(dim=0))
            return True

    def _has_spoken(self, member: int) -> bool:
        return member in self._shares or member not in self._alive or member in self._waiting

    def _succeeds_for(self, cell: int) -> bool:
        torn = [d for d in self._deaths() if d.moment == "during add"]
        return len(self._shares) == len(self.members) and all(
            cell in death.witnesses for death in torn
        )

    def _deaths(self) -> list[Death]:
        return [
            d for d in self._script.deaths if d.round == self.round and d.cell in self.members
        ]

    def _die(self, cell: int, moment: Moment) -> None:
        if any((d.cell, d.moment) == (cell, moment) for d in self._deaths()):
            raise KilledError

    def commit(self, cell: int) -> None:
        with self._changed:
            self._die(cell, "before commit")
            if (cell, self.round) in self._script.flips:
                tensors = self._alive[cell].tensors
                next(iter(tensors.values())).data.view(torch.int32)[0, 0] ^= 1

    def _wait(self, condition: Callable[[], bool]) -> None:
        assert self._changed.wait_for(condition, PATIENCE_S), "cells wait for each other"


@dataclass
class Seat:
    """One cell's place at a meeting: ``train.contracts.Peers``."""

    meeting: Meeting
    cell: int
    added: bool = False

    def agree(self) -> Membership | None:
        return self.meeting.agree(self.cell)

    def add(self, payload: Tensor) -> bool:
        self.added = self.meeting.add(self.cell, payload)
        return self.added

    def commit(self) -> bool:
        self.meeting.commit(self.cell)
        return self.added


@dataclass
class Notes:
    """``train.contracts.Observer`` that keeps everything."""

    events: list[dict[str, Any]] = field(default_factory=list)
    applied: list[tuple[int, int]] = field(default_factory=list)
    """Step and rank of every step applied."""
    departures: list[Departures] = field(default_factory=list)
    """What was asked in every round that was committed."""
    regroups: tuple[int, ...] = ()
    """Rounds over, after which this rank stops computing after its first micro-batch."""
    asks: dict[int, Wishes] = field(default_factory=dict)
    """What this rank wants once so many rounds are over."""

    def record(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        slots = [(fault.sample, fault.reason) for fault in batch.faults]
        self.record("empty_slot", part=part, step=batch.address.step, slots=slots)

    def halved(self, batch: MicroBatch, *, parts: int) -> None:
        self.record("halved", step=batch.address.step, micro=batch.address.micro, parts=parts)

    def wishes(self) -> Wishes:
        return self.asks.get(len(self.departures), Wishes())

    def is_regrouping(self) -> bool:
        return len(self.departures) in self.regroups

    def round_done(
        self, replica: Replica, membership: Membership, departures: Departures
    ) -> None:
        self.departures.append(departures)
        if replica.progress.step > len(self.applied):
            self.applied.append((replica.progress.step, membership.rank))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


@dataclass
class Cell:
    """One worker, and how it ended."""

    number: int
    replica: Replica
    learner: SmallLearner
    notes: Notes = field(default_factory=Notes)
    error: Exception | None = None
    end: str = ""
    was_killed: bool = False


@dataclass(frozen=True)
class Training:
    """A training and what may differ from the usual one."""

    script: Script = Script()
    config: TrainConfig = CONFIG
    terms: Terms = TERMS
    batches: PlannedBatches = WHOLE
    poison: tuple[Address, str] | None = None
    cramped: tuple[int, ...] = ()
    """Cells with memory for one sample at once."""
    state: bytes | None = None
    """What all begin with, if it is not nothing."""

    def run(self, world_size: int) -> list[Cell]:
        """Train with cells 0 to ``world_size - 1`` and the script's newcomers."""
        meeting = Meeting(self.script)
        cells = []
        for number in [*range(world_size), *dict(self.script.joins)]:
            replica = Replica(new_tensors(), weight_decay=self.config.weight_decay)
            if self.state is not None:
                replica.load_bytes(self.state)
            cell = Cell(number, replica, SmallLearner(replica.tensors, self.poison))
            cell.notes.regroups = self.script.regroups
            cell.notes.asks = {at: w for who, at, w in self.script.asks if who == number}
            cells.append(cell)
            meeting.enter(number, replica)
        threads = [
            threading.Thread(target=self._live, args=(cell, meeting), daemon=True)
            for cell in cells
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return cells

    def _live(self, cell: Cell, meeting: Meeting) -> None:
        peers = Seat(meeting, cell.number)
        learner: Learner = cell.learner
        if cell.number in self.cramped:
            cramped = Cramped(cell.learner, room=1)
            learner = HalvingLearner(cramped, cell.replica.tensors, cell.notes)
        loop = Loop(
            cell.replica,
            self.config,
            self.terms,
            self.batches,
            Alone(cell.replica, learner, Source(self.batches, cell.notes)),
            peers,
            cell.notes,
        )
        with _end_of(cell):
            cell.end = loop.run()
        meeting.leave(cell.number)


@contextmanager
def _end_of(cell: Cell) -> Iterator[None]:
    try:
        yield
    except KilledError:
        cell.was_killed = True
    except Exception as error:  # noqa: BLE001 - the end of a thread; tests look at it
        cell.error = error
