"""Checkpoint and restart, as stock Ray Train does it: at every change all begin anew.

Everybody stops, a new group of all machines that stay is formed, loads the base model and the
last checkpoint, and does again what came after that.
"""

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from typing import assert_never

from orchestrator.simulate.measured import Measured
from orchestrator.simulate.outcome import Outcome, Progress
from orchestrator.simulate.speed import Speed
from orchestrator.simulate.traces import Change, Trace

IMPORTS_S = 3.8
"""Of the times below: imports, process group and restoring a model that loads in no time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartTimes:
    """From a fault to the next step, measured with three workers and a tiny model.

    A group of a thousand would take longer; these times do not grow with it.
    """

    name: str
    killed_s: float
    down_s: float
    frozen_s: float
    notice_s: float
    growth_s: float
    look_s: float
    """Between looks for more machines than the group has."""


STOCK = RestartTimes(
    name="stock Ray", killed_s=20, down_s=79, frozen_s=90, notice_s=73, growth_s=35, look_s=60
)
"""Ray Train 2.60 with its defaults."""

TUNED = RestartTimes(
    name="tuned restarts",
    killed_s=20,
    down_s=19,
    frozen_s=30,
    notice_s=23,
    growth_s=35,
    look_s=300,
)
"""The same with fast health checks, fast polls and a fresh view of capacity; it looks for more
machines less often, for each time that it finds some, all begin anew."""


class RestartedGroup:
    """One training on one trace.

    Args:
        trace: What happens to nodes.
        measured: How long steps and checkpoints take, and loading a model.
        times: How long restarts take.
        workers: The least and the most.
        speed: Of the same measured times.
    """

    def __init__(
        self,
        trace: Trace,
        measured: Measured,
        times: RestartTimes,
        workers: tuple[int, int],
        speed: Speed,
    ) -> None:
        self._trace, self._times = trace, times
        self._least, self._most = workers
        self._extra_s = measured.load_s - IMPORTS_S
        self._speed = speed
        self._progress = Progress(measured, self._speed)
        self._free: dict[str, None] = {}
        """Nodes that are up and have had no notice, in the order of coming."""
        self._group: set[str] = set()
        self._size = 0
        self._since_s: float | None = None
        """When the step began that is being computed; None while nobody trains."""
        self._plans: list[tuple[float, int, str]] = []
        self._regroup_s: float | None = None
        self._order = itertools.count()
        self._joins = self._losses = 0

    def run(self) -> Outcome:
        """Train until the trace ends."""
        changes = deque(self._trace.changes)
        end_s = self._trace.end_s
        while changes or self._plans:
            if changes and (not self._plans or changes[0].at_s <= self._plans[0][0]):
                change = changes.popleft()
                self._advance(change.at_s)
                self._meet(change)
            else:
                at_s, _, plan = heapq.heappop(self._plans)
                if at_s >= end_s:
                    continue
                self._advance(at_s)
                if plan == "look":
                    self._look(at_s)
                elif at_s == self._regroup_s:
                    self._regroup(at_s)
        self._advance(end_s)
        self._mark(end_s)
        return self._progress.outcome(
            self._times.name, end_s=end_s, joins=self._joins, losses=self._losses
        )

    def _meet(self, change: Change) -> None:
        times = self._times
        match change.kind:
            case "up":
                self._free[change.node] = None
                self._arrived(change.at_s)
            case "notice":
                self._lose(change, times.notice_s)
            case "down":
                self._lose(change, times.down_s)
            case "frozen":
                self._lose(change, times.frozen_s)
            case "killed":
                if change.node in self._group:
                    self._losses += 1
                    self._restart(change.at_s, times.killed_s)
            case _:
                assert_never(change.kind)

    def _arrived(self, now_s: float) -> None:
        if self._since_s is None:
            if self._regroup_s is None and len(self._free) >= self._least:
                self._restart(now_s, self._times.killed_s)
        elif not any(plan == "look" for _, _, plan in self._plans):
            self._plan(now_s + self._times.look_s, "look")

    def _lose(self, change: Change, restart_s: float) -> None:
        """A node of the group is lost, or told that it will be; nobody misses another."""
        self._free.pop(change.node, None)
        if change.node in self._group:
            self._losses += 1
            self._group.remove(change.node)
            self._restart(change.at_s, restart_s)

    def _restart(self, now_s: float, seconds: float) -> None:
        if self._since_s is not None:
            self._progress.lost_node_s += (now_s - self._since_s) * self._size
            self._progress.roll_back(now_s, self._size)
            self._since_s = None
            self._progress.mark(now_s, 0)
        at_s = now_s + max(0.0, seconds + self._extra_s)
        # Who is lost while a group forms has it form again.
        self._regroup_s = max(at_s, self._regroup_s or at_s)
        self._plan(self._regroup_s, "regroup")
        if not self._group:
            self._group = set(self._chosen())

    def _regroup(self, now_s: float) -> None:
        self._regroup_s = None
        chosen = self._chosen()
        self._joins += len(set(chosen) - self._group)
        self._group = set(chosen)
        self._size = len(chosen)
        if self._size >= self._least:
            self._since_s = now_s
            self._progress.mark(now_s, self._size)

    def _look(self, now_s: float) -> None:
        if self._since_s is not None and len(self._chosen()) > self._size:
            self._restart(now_s, self._times.growth_s)

    def _chosen(self) -> list[str]:
        return list(self._free)[: self._most]

    def _plan(self, at_s: float, what: str) -> None:
        heapq.heappush(self._plans, (at_s, next(self._order), what))

    def _advance(self, until_s: float) -> None:
        if self._since_s is None:
            return
        step_s = self._speed.step_s(self._size)
        number = int((until_s - self._since_s) / step_s)
        self._progress.count(number, self._size, from_s=self._since_s)
        self._since_s += number * step_s

    def _mark(self, now_s: float) -> None:
        if self._since_s is None:
            self._progress.mark(now_s, 0)
        else:
            part = (now_s - self._since_s) / self._speed.step_s(self._size)
            self._progress.mark(now_s, self._size, part)
