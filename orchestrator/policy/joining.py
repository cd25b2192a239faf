"""Who may join now: a node that comes and goes waits, and many loads at once take turns."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

LossReason: TypeAlias = Literal["notice", "node", "process"]
"""Why a worker was lost: its node had a notice, its node is gone, or only its process died."""

STAYS_KEPT = 16
"""Of each node: after so many quick losses every wait is the longest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stay:
    """One worker's time in the quorum, from joining to its loss."""

    from_s: float
    to_s: float
    reason: LossReason


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeHistory:
    """What is known of one node. What happens to other nodes never gets in here."""

    node: str
    joined_s: float | None = None
    """When the worker that is there now joined; None while there is none."""

    stays: tuple[Stay, ...] = ()
    """Those that have ended, in order."""

    is_draining: bool = False
    """The node has had a notice that still holds."""

    def joined(self, now_s: float) -> "NodeHistory":
        """A worker on this node has joined."""
        return replace(self, joined_s=now_s)

    def lost(self, now_s: float, reason: LossReason) -> "NodeHistory":
        """The worker is gone; one that had not joined yet was there for no time at all."""
        from_s = now_s if self.joined_s is None else self.joined_s
        stay = Stay(from_s=from_s, to_s=now_s, reason=reason)
        return replace(self, joined_s=None, stays=(*self.stays[1 - STAYS_KEPT :], stay))

    def noticed(self, *, is_draining: bool) -> "NodeHistory":
        """A notice came for this node, or was taken back."""
        return replace(self, is_draining=is_draining)


@dataclass(frozen=True, slots=True)
class Admit:
    """It may join at the next step."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It is to ask again after so many seconds."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """It may not join, however long it waits."""

    reason: str


Admission: TypeAlias = Admit | Wait | Refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinWhenSteady:
    """Let a newcomer in unless its node has been coming and going.

    Each join and each loss holds up everybody for a moment. A node whose workers were lost
    ``k`` times after short stays waits ``steady_s * 2**(k - 1)`` after the last of them, and
    no longer than that from when the worker that asks was started: it came after the loss.
    """

    steady_s: float = 10.0
    """The first wait. Loading a model takes about as long, so that one loss costs nothing."""

    longest_s: float = 120.0
    """No wait is longer."""

    window_s: float = 600.0
    """Losses longer ago are forgotten, and a stay as long as this was a steady one."""

    def decide(
        self, node: NodeHistory, /, *, now_s: float, held_up: bool, started_s: float = math.inf
    ) -> Admission:
        """Decide about a worker on this node that has loaded its model and asks to join.

        Args:
            node: What is known of its node.
            now_s: The time, on the clock of the history.
            held_up: Fewer workers train than the job wants at least: then nobody can be
                disturbed, and everybody is welcome.
            started_s: When the worker's process began, on the same clock; if it is not known,
                the history has to have losses at the time at which they happened.
        """
        if node.is_draining:
            return Refuse(f"node {node.node} is about to be taken away")
        quick = self._quick_losses_s(node, now_s)
        if held_up or not quick:
            return Admit()
        wait_s = min(self.longest_s, self.steady_s * 2.0 ** (len(quick) - 1))
        left_s = min(quick[-1], started_s) + wait_s - now_s
        if left_s <= 0:
            return Admit()
        times = "once" if len(quick) == 1 else f"{len(quick)} times"
        return Wait(left_s, f"node {node.node} was lost {times} in {self.window_s:.0f} s")

    def _quick_losses_s(self, node: NodeHistory, now_s: float) -> list[float]:
        return [
            stay.to_s
            for stay in node.stays
            if now_s - stay.to_s < self.window_s and stay.to_s - stay.from_s < self.window_s
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loading:
    """A worker that is importing libraries and loading the base model."""

    node: str
    since_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StartLimits:
    """How many workers may load at once: they share a node's memory, and all share a store."""

    per_node: int = 2
    in_all: int = 64
    forget_s: float = 600.0
    """A load that takes longer hangs; it does not keep others from starting."""


@dataclass(frozen=True, slots=True)
class Start:
    """It may load now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """It is to ask again when one of those that load is done."""

    reason: str


def may_start(
    node: str, loading: Iterable[Loading], *, now_s: float, limits: StartLimits
) -> Start | Hold:
    """Decide whether a worker on this node may begin to load beside those that are loading."""
    busy = [other for other in loading if now_s - other.since_s < limits.forget_s]
    here = sum(other.node == node for other in busy)
    if here >= limits.per_node:
        return Hold(f"{here} workers are loading on node {node}")
    if len(busy) >= limits.in_all:
        return Hold(f"{len(busy)} workers are loading in the cluster")
    return Start()
