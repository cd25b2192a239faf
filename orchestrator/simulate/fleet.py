"""Cells joined by a quorum, as they are built here: survivors stay up.

Agreement comes at the end of a step's computing. Who is lost in a step has its share dealt
anew among the others, after a heartbeat's silence that runs while they compute. Newcomers load
beside the training and join at a step's end; who has a notice leaves at one. What to do is
decided by the policies that the real cluster asks.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from orchestrator.policy.joining import LossReason
from orchestrator.policy.leaving import LeavingView, NoNeed, Save, leave_now, must_save
from orchestrator.simulate.measured import Measured
from orchestrator.simulate.newcomers import Newcomers, Rules
from orchestrator.simulate.outcome import Outcome, Progress
from orchestrator.simulate.speed import Speed
from orchestrator.simulate.traces import Change, Trace


@dataclass
class _Step:
    """The step that is being computed."""

    start_s: float
    end_s: float
    world_size: int
    is_disturbed: bool = False


class Fleet:
    """One training on one trace.

    Args:
        trace: What happens to nodes.
        measured: How long things take.
        rules: What the job wants, and the policies.
        speed: Of the same measured times.
    """

    def __init__(self, trace: Trace, measured: Measured, rules: Rules, speed: Speed) -> None:
        self._trace, self._measured, self._rules = trace, measured, rules
        self._speed = speed
        self._progress = Progress(measured, self._speed)
        self._newcomers = Newcomers(rules, measured.load_s)
        self._present: list[str] = []
        self._leaving: dict[str, float | None] = {}
        self._step: _Step | None = None
        self._has_state = False
        self._joins = self._losses = 0

    def run(self) -> Outcome:
        """Train until the trace ends."""
        changes, newcomers = deque(self._trace.changes), self._newcomers
        end_s = self._trace.end_s
        while changes or newcomers.next_ask_s < end_s:
            if changes and changes[0].at_s <= newcomers.next_ask_s:
                change = changes.popleft()
                now_s = change.at_s
                self._advance(now_s)
                self._meet(change)
            else:
                now_s = newcomers.next_ask_s
                self._advance(now_s)
                newcomers.ask(num_present=len(self._present))
            newcomers.start(now_s, num_staying=len(self._present) - len(self._leaving))
            # Who comes at the same time begins together.
            if self._step is None and newcomers.next_ask_s > now_s:
                self._change_members(now_s)
        self._advance(end_s)
        self._mark(end_s)
        return self._progress.outcome(
            "elastic", end_s=end_s, joins=self._joins, losses=self._losses
        )

    def _meet(self, change: Change) -> None:
        now_s, node = change.at_s, change.node
        match change.kind:
            case "up":
                self._newcomers.come(node)
            case "notice":
                self._notice(node, change)
            case "down" | "frozen":
                self._lose(node, now_s, "node")
            case "killed":
                self._lose(node, now_s, "process")
                self._newcomers.come_again(node)
            case _:
                assert_never(change.kind)

    def _notice(self, node: str, change: Change) -> None:
        self._newcomers.notice(node)
        if node not in self._present:
            # No model is loaded on a machine that goes.
            self._newcomers.drop(node, change.at_s, "notice")
            return
        left_s = max(0.0, self._step.end_s - change.at_s) if self._step else 0.0
        if leave_now(change.deadline_s, now_s=change.at_s, step_left_s=left_s):
            leaving = {**self._leaving, node: change.deadline_s}
            self._save_if_needed(leaving, change.at_s, step_left_s=left_s)
            self._lose(node, change.at_s, "notice")
        else:
            self._leaving[node] = change.deadline_s

    def _lose(self, node: str, now_s: float, reason: LossReason) -> None:
        self._leaving.pop(node, None)
        if node in self._present:
            self._newcomers.lost(node, now_s, reason)
            self._lose_present(node, now_s, reason)
        else:
            self._newcomers.drop(node, now_s, reason)

    def _lose_present(self, node: str, now_s: float, reason: LossReason) -> None:
        rank, world_size = self._present.index(node), len(self._present)
        step = self._step
        self._present.remove(node)
        self._losses += 1
        if step is not None:
            done_s = min(now_s, step.end_s) - step.start_s
            self._progress.lost_node_s += max(0.0, done_s)
            silence_s = 0.0 if reason == "notice" else self._measured.heartbeat_s
            share_s = self._speed.orphans_s(rank, world_size=world_size)
            noticed_s = max(step.end_s, now_s + silence_s)
            step.end_s = noticed_s + self._measured.pause_s + share_s
            step.is_disturbed = True
        if len(self._present) < self._rules.least:
            self._stand_still(now_s, world_size)

    def _stand_still(self, now_s: float, world_size: int) -> None:
        """Too few are left to go on; nobody at all: back to the checkpoint."""
        if self._step is not None:
            done_s = max(0.0, now_s - self._step.start_s)
            self._progress.lost_node_s += done_s * len(self._present)
        if not self._present and self._has_state:
            self._progress.roll_back(now_s, world_size)
            self._has_state = False
        self._step = None
        self._mark(now_s)
        self._newcomers.ask_all_again(now_s)

    def _advance(self, until_s: float) -> None:
        """Do all steps that end by then."""
        while self._step is not None and self._step.end_s <= until_s:
            step = self._step
            if step.is_disturbed:
                self._progress.count_disturbed(step.world_size, ended_s=step.end_s)
            else:
                self._progress.count(1, step.world_size, from_s=step.start_s)
            if step.is_disturbed or self._newcomers.are_ready or self._leaving:
                self._change_members(step.end_s)
                continue
            step_s = self._speed.step_s(step.world_size)
            more = int((until_s - step.end_s) / step_s)
            self._progress.count(more, step.world_size, from_s=step.end_s)
            start_s = step.end_s + more * step_s
            self._step = _Step(start_s, start_s + step_s, step.world_size)

    def _change_members(self, now_s: float) -> None:
        """Between two steps: who has a notice goes, who is ready comes."""
        if self._leaving:
            self._let_go(now_s)
        joined = self._newcomers.let_in(now_s)
        cost_s = self._measured.join_s if joined and self._present else 0.0
        self._joins += len(joined)
        self._present += joined
        self._step = None
        if len(self._present) >= self._rules.least and self._present:
            if not self._has_state:
                cost_s = self._measured.restore_s if self._progress.points else 0.0
            self._has_state = True
            start_s, size = now_s + cost_s, len(self._present)
            self._step = _Step(start_s, start_s + self._speed.step_s(size), size)
            self._progress.mark(start_s, size)

    def _let_go(self, now_s: float) -> None:
        world_size = len(self._present)
        self._save_if_needed(self._leaving, now_s, step_left_s=0.0)
        self._losses += len(self._leaving)
        for node in self._leaving:
            self._newcomers.lost(node, now_s, "notice")
            self._present.remove(node)
        self._leaving = {}
        if len(self._present) < self._rules.least:
            self._step = None
            self._stand_still(now_s, world_size)

    def _save_if_needed(
        self, leaving: Mapping[str, float | None], now_s: float, *, step_left_s: float
    ) -> None:
        """The last finished step's state, if it would be lost with those who leave."""
        numbers = {node: number for number, node in enumerate(self._present)}
        deadlines = {numbers[node]: deadline_s for node, deadline_s in leaving.items()}
        save_s = self._measured.checkpoint_s
        view = LeavingView(
            present=numbers.values(),
            deadline_s=deadlines,
            least=self._rules.least,
            now_s=now_s,
            step_left_s=step_left_s,
            save_s=save_s,
        )
        match must_save(view):
            case NoNeed():
                pass
            case Save(cell=cell):
                last_s = deadlines.get(cell, math.inf)
                if last_s is not None and now_s + save_s <= last_s:
                    # It holds by the time that anybody needs it.
                    progress = self._progress
                    progress.save(now_s - save_s, progress.steps, progress.useful_s)
            case answer:
                assert_never(answer)

    def _mark(self, now_s: float) -> None:
        step = self._step
        if step is None:
            self._progress.mark(now_s, 0)
            return
        part = (now_s - step.start_s) / (step.end_s - step.start_s)
        self._progress.mark(now_s, step.world_size, min(1.0, max(0.0, part)))
