"""Who trains where, who hears of what, and what each worker is told to do. No Ray, no store.

The journal holds one and asks it; every worker attends it about twice a second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LEAVE_S = 30.0
"""What a worker that is told to go has, where nobody said how long."""


@dataclass(frozen=True, slots=True)
class Process:
    """Where a cell's worker runs."""

    node: str
    """Ray's id of the node."""
    pid: int


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
    end: bool = False
    """End this process: the others have waited for it for too long."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """What a worker said of itself last."""

    round: int
    waiting_s: float | None
    """For how long it has been waiting for the others; None: it computes."""
    heard_s: float


@dataclass
class Roster:
    """The cells of a run.

    Attributes:
        processes: The newest worker of each cell that was let in.
        seen: Those in the newest quorum.
        nodes: What is known of nodes.
    """

    clock: Callable[[], float]
    processes: dict[int, Process] = field(default_factory=dict)
    seen: dict[int, Process] = field(default_factory=dict)
    nodes: NodeView = field(default_factory=NodeView)
    attendance: dict[int, Attendance] = field(default_factory=dict)
    released: set[Process] = field(default_factory=set)
    leavers: set[Process] = field(default_factory=set)
    """Workers that said that they leave."""
    told: set[tuple[Process, str]] = field(default_factory=set)
    """Who was told what, so that it is told and recorded once."""

    def attend(self, cell: int, pid: int, round_: int, waiting_s: float | None) -> Orders:
        """A worker says how it is; what it is to do."""
        process = self.processes.get(cell, UNKNOWN)
        if process.pid != pid:
            return Orders()
        self.attendance[cell] = Attendance(round_, waiting_s, self.clock())
        return Orders(
            leave_by_s=self.nodes.draining.get(process.node),
            save=self._is_advised(process),
            save_now=self._is_last(cell),
            end=process in self.released,
        )

    def _is_advised(self, process: Process) -> bool:
        advice = self.nodes.advised.get(process.node)
        return advice is not None and self.is_news(process, advice)

    def is_news(self, process: Process, what: str) -> bool:
        """Whether a worker is told this for the first time."""
        is_new = (process, what) not in self.told
        self.told.add((process, what))
        return is_new

    def _is_last(self, cell: int) -> bool:
        """Whether all who train are about to go, and this one is to save what they have."""
        going = [c for c, process in self.seen.items() if process.node in self.nodes.draining]
        return bool(going) and len(going) == len(self.seen) and cell == min(going)
