"""A run's events in memory and in its log, and what a run that goes on reads off them."""

from collections.abc import Callable, Sequence

from orchestrator.errors import StorageError
from orchestrator.plan.steps import Slot
from orchestrator.storage import Store
from orchestrator.tracking.event_log import EventLog
from orchestrator.tracking.events import Event, encode, whole_number
from orchestrator.tracking.run_log import EVENTS, read_log

SETTLED_S = 2.0
"""The longest that a caller is held until a sound store has what it told."""
DURABLE_S = 90.0
"""The longest that is waited for a store to take what a training depends on."""


class Ledger:
    """All events of a run, known at once and written soon. One a run.

    Attributes:
        events: In the log's order, those of earlier lives first.

    Args:
        store: The run's store.
        guard: Raises if another driver writes here by now.
    """

    def __init__(self, store: Store, guard: Callable[[], None]) -> None:
        self._store = store
        self._log = EventLog(store, EVENTS, guard)
        self.events = read_log(store)

    def write(self, events: Sequence[Event]) -> None:
        """Take events; returns at once."""
        if events:
            self._log.append(encode(event) for event in events)
            self.events.extend(events)

    def settle(self) -> None:
        """Return once all events are written, so that a call may be answered.

        Ray repeats a call that its actor died in, and no other. A store that balks is not
        waited for: what waits in memory then goes with the process.
        """
        if self._log.problem is None:
            self._log.flush(SETTLED_S)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all events are written; whether they are."""
        return self._log.flush(timeout_s)

    def make_durable(self, what: str) -> None:
        """Return once all events are written.

        Args:
            what: For the message: what it is that training depends on.

        Raises:
            StorageError: They are not, for as long as one may wait.
        """
        if not self._log.flush(DURABLE_S):
            raise StorageError(
                f"{what} could not be written for {DURABLE_S:.0f} s: {self._log.problem}",
                self._store.url,
                "Look at the store; the same command goes on from the last checkpoint",
            )


def found_empty(store: Store) -> frozenset[Slot]:
    """Slots of the training data that an earlier life of the run found empty."""
    return frozenset(
        (
            whole_number(event, "epoch"),
            whole_number(event, "step"),
            whole_number(event, "sample"),
        )
        for event in read_log(store)
        if event["kind"] == "empty_slot" and event.get("part") == "train"
    )


def rounds_that_count(events: Sequence[Event]) -> set[int]:
    """Rounds that were reported, without those that a resumption did, or will do, again."""
    rounds: set[int] = set()
    for event in events:
        if event["kind"] == "resumed":
            last = whole_number(event, "after_round")
            rounds = {number for number in rounds if number <= last}
        rounds.add(whole_number(event, "round"))
    # Of events that are of no round.
    return rounds - {0}


def slot_of(event: Event) -> tuple[object, ...]:
    """Which slot an event is about."""
    return event.get("part"), event["epoch"], event["step"], event["sample"]
