"""What follows from a look at a submitted job: a decision from plain values, no Ray.

A job is kept by the cluster's head. A head that is lost takes its jobs along, and a new one
knows nothing of them; the run itself is in the storage, and goes on from there. So whoever
submitted the job looks after it, and submits it again where the head has lost it.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from orchestrator.cluster.restarts import PAUSES_S, GiveUp, Restart, Tally, after_fault
from orchestrator.cluster.supervise import STOPPED

State: TypeAlias = Literal[
    "unreachable", "unknown", "pending", "running", "succeeded", "failed", "stopped"
]
LOOK_PAUSES_S = (1.0, 2.0, 5.0, 10.0)
"""Between looks at a head that does not answer; the last one is repeated."""
_SIGNALS = 128
"""A shell's exit code for a command that was killed: this, and the signal's number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look at a submitted job found."""

    state: State
    exit_code: int | None = None
    """Of the command itself; None where it has not ended, or died with its machine."""
    why: str = ""
    silent_s: float = 0.0
    """Since the head last answered."""
    looks_in_vain: int = 0
    """In a row."""


@dataclass(frozen=True, slots=True)
class Follow:
    """It is under way: read its log."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nobody answers: ask again after a pause."""

    pause_s: float


@dataclass(frozen=True, slots=True)
class Resubmit:
    """The head has lost it, or something that may pass ended it: submit it again."""

    pause_s: float
    tally: Tally
    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """It is over, and said itself how."""

    code: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """There is no use in going on."""

    why: str


Decision: TypeAlias = Follow | LookAgain | Resubmit | Finish | Abandon


def after_look(
    look: Look, tally: Tally, step: int, *, supervised: bool, patience_s: float
) -> Decision:
    """Decide what follows a look.

    Args:
        look: What was found.
        tally: What the last resubmission left; a new one at first.
        step: The run's newest finished step; 0 where its storage cannot be read from here.
        supervised: Whether to submit again at all.
        patience_s: How long a head may be silent.
    """
    match look.state:
        case "pending" | "running":
            return Follow()
        case "succeeded":
            return Finish(0)
        case "stopped":
            return Finish(STOPPED)
        case "unreachable":
            return _wait(look, patience_s)
        case "failed" if look.exit_code is not None and not was_killed(look.exit_code):
            return Finish(look.exit_code)
        case "unknown" | "failed":
            return _again(look, tally, step) if supervised else Abandon(look.why)


def was_killed(exit_code: int) -> bool:
    """Whether a command ended by a signal that was not a person's."""
    return exit_code < 0 or (exit_code > _SIGNALS and exit_code != STOPPED)


def _wait(look: Look, patience_s: float) -> Decision:
    if look.silent_s >= patience_s:
        return Abandon(f"no answer for {look.silent_s:.0f} s: {look.why}")
    place = min(look.looks_in_vain, len(LOOK_PAUSES_S)) - 1
    return LookAgain(LOOK_PAUSES_S[max(0, place)])


def _again(look: Look, tally: Tally, step: int) -> Decision:
    match after_fault(tally, step):
        case GiveUp():
            tries = f"given up after {len(PAUSES_S)} tries without a new step"
            return Abandon(f"{look.why}; {tries}")
        case Restart(pause_s=pause_s, tally=newer):
            return Resubmit(pause_s, newer, look.why)
