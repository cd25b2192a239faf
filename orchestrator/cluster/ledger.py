"""What is read off a run's events when it is taken up again: empty slots, rounds that count."""

from collections.abc import Sequence

from orchestrator.plan.steps import Slot
from orchestrator.storage import Store
from orchestrator.tracking.events import Event, whole_number
from orchestrator.tracking.run_log import read_log


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
