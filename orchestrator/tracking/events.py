"""The event log: one flat JSON object a line, from which every figure of a run is computed.

Every event has ``kind`` and ``wall_s`` (seconds since 1970). ``FIELDS`` says what else its kind
must have; an event may carry more. An attempt opens with ``started`` (from nothing) or
``resumed`` (from a checkpoint), one of the two; ``paused`` ends one that was asked for no more.
``step`` and ``eval`` are written when the step or the evaluation is done.
"""

import json
import math
import time
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final, TypeAlias

from orchestrator.errors import StorageError

EventValue: TypeAlias = str | int | float | bool | None
Event: TypeAlias = dict[str, EventValue]

FIELDS: Final = MappingProxyType(
    {
        "started": (),
        "resumed": ("step",),
        "quorum": ("step", "world_size"),
        "joined": ("cell",),
        "lost": ("cell",),
        "notice": ("cell", "reason"),
        "drain": ("cell", "reason"),
        "left": ("cell",),
        "slow": ("cell", "reason"),
        "released": ("cell", "reason"),
        "held": ("cell", "reason"),
        "lighthouse": ("url",),
        "step": ("step", "epoch", "loss", "samples", "round_s", "world_size"),
        "redo": ("step", "reason"),
        "eval": ("step", "loss", "accuracy", "samples"),
        "checkpoint": ("step", "path", "seconds"),
        "checkpoint_failed": ("step", "reason"),
        "halved": ("step", "micro", "parts"),
        "empty_slot": ("epoch", "step", "sample", "id", "reason"),
        "refused": ("cell", "reason"),
        "waiting": ("reason",),
        "nondeterministic": ("what",),
        "paused": ("step", "weights_sha256"),
        "finished": (),
        "failed": (),
    }
)
"""What an event of each kind has at least, beside ``kind`` and ``wall_s``."""


def make_event(kind: str, *, wall_s: float | None = None, **fields: EventValue) -> Event:
    """Put an event together.

    Args:
        kind: One of ``FIELDS``.
        wall_s: When it happened, in seconds since 1970; None: now.
        fields: What there is to say, flat.
    """
    assert kind in FIELDS, f"no such kind of event: {kind}"
    missing = [name for name in FIELDS[kind] if name not in fields]
    assert not missing, f"{kind} without {missing}"
    return {"kind": kind, "wall_s": time.time() if wall_s is None else wall_s, **fields}


def encode(event: Event) -> str:
    """One event as one line, its line end included.

    JSON has no word for numbers that are not finite: they are written as text, "nan" or "inf",
    which ``number`` reads.
    """
    plain = {name: _finite_or_text(value) for name, value in event.items()}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"


def decode(line: str) -> Event:
    """Read one line of the log. A kind unknown here is let through: a newer version wrote it.

    Raises:
        StorageError: The line is no event.
    """
    try:
        event = json.loads(line)
    except json.JSONDecodeError as error:
        raise _not_an_event(line) from error
    if not (isinstance(event, dict) and isinstance(event.get("kind"), str)):
        raise _not_an_event(line)
    if not isinstance(event.get("wall_s"), int | float):
        raise _not_an_event(line)
    return event


def decode_log(lines: Iterable[str]) -> list[Event]:
    """Read a whole log, in its order.

    Raises:
        StorageError: One of the lines is no event.
    """
    return [decode(line) for line in lines]


def number(event: Event, name: str) -> float:
    """The field as a float; NaN where it is missing or null."""
    value = event.get(name)
    return math.nan if value is None else float(value)


def whole_number(event: Event, name: str) -> int:
    """The field as an integer; 0 where it is missing or null."""
    value = event.get(name)
    return 0 if value is None else int(value)


def elapsed_s(earlier: Event, later: Event) -> float:
    """Seconds from one event to another; 0 where a clock went back."""
    return max(0.0, number(later, "wall_s") - number(earlier, "wall_s"))


def _finite_or_text(value: EventValue) -> EventValue:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _not_an_event(line: str) -> StorageError:
    return StorageError(
        f"{line[:80]!r} is no event", "event log", "Remove the line, or choose a new name"
    )
