"""A run's own log: where it lies, and how far it says the run has come."""

from typing import Final

from orchestrator.errors import StorageError
from orchestrator.storage import Store
from orchestrator.tracking.events import Event, decode_log, whole_number

EVENTS: Final = "events.jsonl"


def read_log(run: Store) -> list[Event]:
    """All events of a run; none where it has not begun.

    Raises:
        StorageError: The store does not answer.
    """
    return decode_log(run.read_lines(EVENTS))


def newest_step(run: Store) -> int:
    """The newest step that a run ever finished; 0 where there is none, or no answer."""
    try:
        events = read_log(run)
    except StorageError:
        # No news is no progress: whoever asks next finds out more.
        return 0
    return max((whole_number(e, "step") for e in events if e["kind"] == "step"), default=0)
