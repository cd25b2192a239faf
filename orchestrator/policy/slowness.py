"""The slow cell: named when all others wait for it, released when they have waited too long."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Where one cell of the quorum stands, as it last said itself."""

    cell: int
    round: int
    waiting_since_s: float | None
    """Since when it waits at the end of this round; None while it computes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceView:
    """The quorum at one moment."""

    paces: tuple[Pace, ...]
    now_s: float
    step_s: float
    """Median of recent steps."""
    least: int
    """With fewer cells training stands still."""
    named: int | None = None
    """The cell that was named last and has not caught up since."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Name:
    """Say in the events who holds up the others."""

    cell: int
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Have the others go on without it; it may join again like any newcomer."""

    cell: int
    reason: str


Verdict: TypeAlias = Keep | Name | Release


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseTheSlow:
    """Name, then release, the one cell that everybody else waits for.

    Where two are late together it is more likely the work, the network or the store than they:
    nobody is named. A cell is named before it is released, so that the events say why.
    """

    name_steps: float = 3.0
    """Named when the others have waited for so many median steps..."""
    name_s: float = 5.0
    """... and at least for so long."""
    release_steps: float = 10.0
    """Released when they have waited for so many, ..."""
    release_s: float = 30.0
    """... and at least for so long."""

    def decide(self, view: PaceView, /) -> Verdict:
        """Decide about the quorum as it is now."""
        slow, waited_s = _held_up_by(view)
        if slow is None:
            return Keep()
        reason = f"the others have waited {waited_s:.1f} s at steps of {view.step_s:.1f} s"
        if view.named != slow:
            late = waited_s >= max(self.name_s, self.name_steps * view.step_s)
            return Name(slow, reason) if late else Keep()
        too_late = waited_s >= max(self.release_s, self.release_steps * view.step_s)
        can_spare = len(view.paces) - 1 >= view.least
        return Release(slow, reason) if too_late and can_spare else Keep()


def _held_up_by(view: PaceView) -> tuple[int | None, float]:
    """The one cell that all others wait for and for how long all of them do; None if none."""
    working = [pace for pace in view.paces if pace.waiting_since_s is None]
    waiting = [
        (pace.waiting_since_s, pace.round)
        for pace in view.paces
        if pace.waiting_since_s is not None
    ]
    if len(working) != 1 or not waiting:
        return None, 0.0
    # Words arrive about once a second: who is ahead of the others has just been waited for,
    # and who waits in another round than they has not been heard lately.
    rounds = {number for _, number in waiting}
    if len(rounds) > 1 or working[0].round > max(rounds):
        return None, 0.0
    return working[0].cell, view.now_s - max(since_s for since_s, _ in waiting)
