"""What a cloud announces for a machine."""

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["interruption", "rebalance", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One announcement. Two of the same ``id`` are one, however often it is read."""

    kind: Kind
    """``interruption``: the machine will be taken. ``rebalance``: it is likelier than usual to
    be. ``cancelled``: the interruption with this ``id`` will not happen."""

    id: str

    action: str
    """What will happen, in the cloud's own word: ``terminate``, ``hibernate``, ``Preempt``."""

    deadline_s: float | None = None
    """When it happens, in seconds since 1970 by this machine's clock; None where nobody says,
    as for a recommendation, or where it has begun."""

    clock_ahead_s: float = 0.0
    """How far this machine's clock is ahead of the cloud's, which ``deadline_s`` allows for."""

    def cancelled(self) -> "Notice":
        """The word that this one no longer holds."""
        return replace(self, kind="cancelled", deadline_s=None)
