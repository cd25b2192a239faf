"""How long workers were there, from a run's events: what machines were paid for."""

import itertools
from collections.abc import Sequence

from orchestrator.tracking.events import Event, elapsed_s, number, whole_number

_GONE = ("lost", "left", "released", "refused")
_NOBODY = ("lighthouse", "started", "resumed", "paused", "finished", "failed")
"""Between two attempts nobody is there, and until when the last one lived is unknown; a driver
that comes later starts a lighthouse first."""


def cell_seconds(events: Sequence[Event]) -> float:
    """Seconds that cells were there, all of them together.

    Each from its process's start, for it was paid for while it loaded and others trained, until
    it was lost, left, or the run was over. Who trains in a step is there, whoever else waits.

    Args:
        events: Of a run, in their order.
    """
    cells: set[object] = set()
    training, total_s = 0, 0.0
    for event, after in itertools.zip_longest(events, events[1:]):
        if event["kind"] == "joined":
            cells.add(event.get("cell"))
            total_s += number(event, "load_s") if event.get("load_s") else 0.0
        elif event["kind"] in _GONE:
            cells.discard(event.get("cell"))
            training = 0
        elif event["kind"] in _NOBODY:
            cells.clear()
            training = 0
        elif event["kind"] in ("quorum", "step"):
            training = whole_number(event, "world_size")
        if after is not None and after["kind"] not in ("lighthouse", "resumed"):
            total_s += max(len(cells), training) * elapsed_s(event, after)
    return total_s
