"""Leaving before a machine is taken away: at a step's end if it can be, saved if it must be."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

MARGIN = 1.5
"""Steps are not all alike: one is given half as long again before it counts as too long."""


def leave_now(deadline_s: float | None, *, now_s: float, step_left_s: float) -> bool:
    """Whether a worker with a notice cannot even wait for the end of this step.

    At the end of the step it leaves in any case. Going in its middle spares the others the
    heartbeat's timeout, but what it has computed of this step is lost.

    Args:
        deadline_s: When its machine goes; None: nobody knows, and the step's end will do.
        now_s: The time, on the same clock.
        step_left_s: Seconds that the rest of the step is expected to take.
    """
    return deadline_s is not None and now_s + MARGIN * step_left_s >= deadline_s


@dataclass(frozen=True, kw_only=True, slots=True)
class LeavingView:
    """The quorum as its next step's end will find it."""

    present: Collection[int]
    """All cells in the quorum, those that leave included."""
    deadline_s: Mapping[int, float | None]
    """Of those that leave: when their machines go; None where nobody knows."""
    least: int
    """With fewer cells training stands still, and what is in memory may be lost."""
    now_s: float
    step_left_s: float
    save_s: float
    """Seconds that writing a checkpoint takes."""


@dataclass(frozen=True, slots=True)
class NoNeed:
    """Enough cells stay: they have the state in memory."""


@dataclass(frozen=True, slots=True)
class Save:
    """This cell writes a checkpoint before anybody leaves."""

    cell: int
    at_once: bool
    """Write what the last finished step left: the end of this one would come too late."""
    reason: str


Saving: TypeAlias = NoNeed | Save


def must_save(view: LeavingView, /) -> Saving:
    """Decide whether a checkpoint has to be written before those with a notice leave.

    The writer is whoever has most time: a cell that stays, else the one with the latest
    deadline. A cell whose deadline nobody knows counts as the first to go.
    """
    leaving = {cell for cell in view.present if cell in view.deadline_s}
    staying = len(view.present) - len(leaving)
    if not leaving or staying >= view.least:
        return NoNeed()
    time_s = {cell: _time_of(cell, view) for cell in view.present}
    writer = min(view.present, key=lambda cell: (-time_s[cell], cell))
    at_once = time_s[writer] < MARGIN * view.step_left_s + view.save_s
    return Save(writer, at_once, f"{staying} of {len(view.present)} cells stay")


def _time_of(cell: int, view: LeavingView) -> float:
    if cell not in view.deadline_s:
        return math.inf
    deadline_s = view.deadline_s[cell]
    return 0.0 if deadline_s is None else deadline_s - view.now_s
