"""Who trains where, who hears of what, and what each worker is told to do. No Ray, no store.

The journal holds one and asks it; every worker attends it about twice a second.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from orchestrator.policy.joining import (
    Admission,
    Admit,
    Hold,
    JoinWhenSteady,
    Loading,
    LossReason,
    NodeHistory,
    Start,
    StartLimits,
    may_start,
)
from orchestrator.policy.leaving import LeavingView, Save, Saving, must_save
from orchestrator.policy.slowness import (
    Keep,
    Name,
    Pace,
    PaceView,
    Release,
    ReleaseTheSlow,
    Verdict,
)

SAVE_S = 2.0
"""What a checkpoint is taken to need, where somebody has to write one in time."""
LIMITS = StartLimits(per_node=4)
"""Loads at once: more of one node would want more memory than it has beside its models."""
PATIENT_S = 10.0
"""A newcomer waits for the end of a step that is shorter than this."""
LEAVE_S = 30.0
"""What a worker that is told to go has, where nobody said how long."""


@dataclass(frozen=True, slots=True)
class Process:
    """Where a cell's worker runs."""

    node: str
    """Ray's id of the node."""
    pid: int
    load_s: float = field(default=0.0, compare=False)
    """From the process's start to when it had its model."""


UNKNOWN = Process("", 0)


@dataclass(frozen=True, slots=True)
class NodeView:
    """What the cluster says of its nodes."""

    draining: Mapping[str, float] = field(default_factory=dict)
    """When each node that is about to go goes, in seconds since 1970; 0 where nobody said."""
    advised: Mapping[str, str] = field(default_factory=dict)
    """Nodes whose cloud thinks that they may go, with the id of what it said."""
    dead: frozenset[str] = frozenset()
    """Nodes that are gone."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is to do."""

    leave_by_s: float | None = None
    """Leave at the end of the round, before this moment in seconds since 1970."""
    save: bool = False
    """Have a checkpoint written at the end of this step."""
    save_now: bool = False
    """Write a checkpoint of the last finished step at once: nobody would be left."""
    regroup: bool = False
    """Stop computing and agree: newcomers have been waiting for this step's end for long."""
    end: bool = False
    """End this process: the others have waited for it for too long."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """What a worker said of itself last."""

    round: int
    waiting_since_s: float | None
    """Since when it has been waiting for the others; None: it computes."""


@dataclass
class Roster:
    """The cells of a run: what is known of them, held against the policies.

    Attributes:
        least: With fewer cells training stands still.
        processes: The newest worker of each cell that was let in.
        seen: Those in the newest quorum.
        nodes: What the cluster says of nodes.
        leavers: Workers that said that they leave.
        released: Workers that the others have waited for in vain.
        step_s: Median of recent steps.
    """

    least: int
    clock: Callable[[], float]
    wall: Callable[[], float]
    processes: dict[int, Process] = field(default_factory=dict)
    seen: dict[int, Process] = field(default_factory=dict)
    nodes: NodeView = field(default_factory=NodeView)
    leavers: set[Process] = field(default_factory=set)
    released: set[Process] = field(default_factory=set)
    step_s: float = 0.0
    _attendance: dict[int, Attendance] = field(default_factory=dict)
    _histories: dict[str, NodeHistory] = field(default_factory=dict)
    _told: set[tuple[Process, str]] = field(default_factory=set)
    _named: int | None = None
    _loading: dict[int, tuple[Process, float]] = field(default_factory=dict)
    """Workers that load their model, and since when."""
    _waiting_s: dict[Process, float] = field(default_factory=dict)
    """Since when workers that may join wait for those who train to come to a step's end."""
    _started_s: dict[Process, float] = field(default_factory=dict)
    """When the processes of those that were let in began."""

    def attend(self, cell: int, pid: int, round_: int, waiting_s: float | None) -> Orders:
        """A worker says how it is; what it is to do."""
        process = self.processes.get(cell, UNKNOWN)
        if process.pid != pid:
            return Orders()
        since_s = None if waiting_s is None else self.clock() - waiting_s
        self._attendance[cell] = Attendance(round_, since_s)
        saving = self._saving()
        writes = isinstance(saving, Save) and saving.cell == cell
        at_once = writes and isinstance(saving, Save) and saving.at_once
        return Orders(
            leave_by_s=self.nodes.draining.get(process.node),
            save=self._is_advised(process)
            or (writes and not at_once and self.is_news(process, "save before all go")),
            save_now=at_once,
            regroup=self._has_newcomers(cell),
            end=process in self.released,
        )

    def _has_newcomers(self, cell: int) -> bool:
        """Whether somebody waits so long that a long step is better shared out anew."""
        if cell not in self.seen:
            return False
        late = [
            p for p, since_s in self._waiting_s.items() if self.clock() - since_s > PATIENT_S
        ]
        news = [process for process in late if self.is_news(process, f"cell {cell} regroups")]
        return bool(news)

    def _is_advised(self, process: Process) -> bool:
        advice = self.nodes.advised.get(process.node)
        return advice is not None and self.is_news(process, advice)

    def is_news(self, process: Process, what: str) -> bool:
        """Whether a worker is told this for the first time."""
        is_new = (process, what) not in self._told
        self._told.add((process, what))
        return is_new

    def _saving(self) -> Saving:
        """Whether somebody has to save before those whose nodes go have left."""
        draining = self.nodes.draining
        going = {c: p.node for c, p in self.seen.items() if p.node in draining}
        view = LeavingView(
            present=tuple(self.seen),
            deadline_s={cell: draining[node] or None for cell, node in going.items()},
            least=self.least,
            now_s=self.wall(),
            step_left_s=self.step_s,
            save_s=SAVE_S,
        )
        return must_save(view)

    def admit(self, cell: int, process: Process) -> None:
        """A worker has loaded its model."""
        self._started_s[process] = self.clock() - process.load_s
        self.processes[cell] = process

    def admission(self, cell: int) -> Admission:
        """Whether a worker that has loaded its model may join now."""
        process = self.processes.get(cell, UNKNOWN)
        self._loading.pop(cell, None)
        history = self._history(process.node).noticed(
            is_draining=process.node in self.nodes.draining
        )
        found = JoinWhenSteady().decide(
            history,
            now_s=self.clock(),
            # That the one before is gone may be noticed late: in the next quorum, and if all
            # were lost at once in the first that one of them forms, with its model loaded.
            started_s=self._started_s.get(process, math.inf),
            held_up=len(self.seen) < self.least,
        )
        if isinstance(found, Admit):
            self._waiting_s[process] = self.clock()
        return found

    def may_load(self, cell: int, process: Process) -> Start | Hold:
        """Whether a worker that has just been started may load its model."""
        busy = [
            Loading(node=other.node, since_s=since_s)
            for number, (other, since_s) in self._loading.items()
            if number != cell
        ]
        found = may_start(process.node, busy, now_s=self.clock(), limits=LIMITS)
        if isinstance(found, Start):
            self._loading[cell] = (process, self.clock())
        return found

    def _history(self, node: str) -> NodeHistory:
        return self._histories.get(node, NodeHistory(node=node))

    def take_quorum(self, now: dict[int, Process]) -> None:
        """Note who trains from now on, and what it says of their nodes."""
        for cell, process in self.seen.items():
            if now.get(cell) != process:
                lost = self._history(process.node).lost(self.clock(), self.reason_of(process))
                self._histories[process.node] = lost
        for cell, process in now.items():
            if self.seen.get(cell) != process:
                joined = self._history(process.node).joined(self.clock())
                self._histories[process.node] = joined
        self.seen = now
        alive = {*self.processes.values()} - {*now.values()}
        self._waiting_s = {p: since for p, since in self._waiting_s.items() if p in alive}

    def reason_of(self, process: Process) -> LossReason:
        """Why a worker that is gone is gone."""
        if process in self.leavers or process.node in self.nodes.draining:
            return "notice"
        return "node" if process.node in self.nodes.dead else "process"

    def slowest(self) -> Verdict:
        """Whether one cell holds up all others, and for too long."""
        paces = tuple(
            Pace(cell=cell, round=said.round, waiting_since_s=said.waiting_since_s)
            for cell, said in self._attendance.items()
            if cell in self.seen
        )
        if len(paces) < len(self.seen):
            return Keep()
        view = PaceView(
            paces=paces,
            now_s=self.clock(),
            step_s=self.step_s,
            least=self.least,
            named=self._named,
        )
        verdict = ReleaseTheSlow().decide(view)
        match verdict:
            case Keep():
                self._named = self._named if _is_behind(view) else None
            case Name(cell=cell):
                self._named = cell
            case Release(cell=cell):
                self.released.add(self.seen[cell])
            case _:
                assert_never(verdict)
        return verdict


def _is_behind(view: PaceView) -> bool:
    """Whether the cell that was named still computes what the others wait for."""
    return any(p.cell == view.named and p.waiting_since_s is None for p in view.paces)
