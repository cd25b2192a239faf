"""What is kept of rendered micro-batches, and when there is room for more. No Ray, no threads.

Kept are those of the step that the trainers are at, of the one before (a neighbour may still be
at it), and of those to come, up to a number and to a sum of bytes.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from orchestrator.plan.steps import Address

T = TypeVar("T")


@dataclass(slots=True)
class _Held(Generic[T]):
    what: T
    num_bytes: int
    was_taken: bool = False


@dataclass(slots=True)
class Window(Generic[T]):
    """Rendered micro-batches by address."""

    most_ahead: int
    """Micro-batches beyond the next step."""
    most_bytes: int
    """Of all that is kept; a single one may be larger."""
    floor: int = 0
    """The step before the one that the trainers are at."""
    _held: dict[Address, _Held[T]] = field(default_factory=dict)
    _num_bytes: int = 0

    def restart(self, step: int) -> None:
        """Forget everything, and begin at a step."""
        self._held.clear()
        self._num_bytes, self.floor = 0, step

    def move_to(self, step: int) -> None:
        """Let go of what lies more than a step behind; never moves back."""
        self.floor = max(self.floor, step - 1)
        for address in [each for each in self._held if each.step < self.floor]:
            self._drop(address)

    def has_room(self) -> bool:
        """Whether one more may come; what somebody has already goes first."""
        for address in [each for each, held in self._held.items() if held.was_taken]:
            if self._num_bytes < self.most_bytes:
                break
            # Who took it holds it; for anybody else it can be rendered again.
            self._drop(address)
        ahead = sum(address.step > self.floor + 1 for address in self._held)
        fits = not self._held or self._num_bytes < self.most_bytes
        return fits and ahead < self.most_ahead

    def put(self, address: Address, what: T, num_bytes: int) -> None:
        """Keep a rendered micro-batch."""
        assert address not in self._held, f"micro-batch {tuple(address)} came twice"
        self._held[address] = _Held(what, num_bytes)
        self._num_bytes += num_bytes

    def take(self, address: Address) -> T | None:
        """A micro-batch, if it is here; it stays for those who come to ask again."""
        held = self._held.get(address)
        if held is None:
            return None
        held.was_taken = True
        return held.what

    def __contains__(self, address: Address) -> bool:
        return address in self._held

    def _drop(self, address: Address) -> None:
        self._num_bytes -= self._held.pop(address).num_bytes
