"""Names of trials: a function of what they set, so that a trial is found again by itself."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

_LONGEST = 100
"""Of a job's name."""
_MOST_READABLE = 60


def trial_name(search: str, values: Mapping[str, JsonValue]) -> str:
    """The name of the run that has these values; other values have another.

    Readable where that is short, and ending in a digest in any case: ``0.1`` and ``1e-1`` are
    one value, and two that look alike once they are made safe for a file are not.
    """
    text = json.dumps(dict(values), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    shorts = short_names(values)
    words = [f"{shorts[name]}{_safe(value)}" for name, value in values.items()]
    readable = "-".join(words)
    room = min(_MOST_READABLE, _LONGEST - len(search) - len(digest) - 2)
    middle = readable if len(readable) <= room else readable[: max(0, room)].rstrip("-._")
    # A search of the longest name leaves no room but for the digest.
    head = search[: _LONGEST - len(digest) - 1]
    return "-".join(part for part in (head, middle, digest) if part)


def short_names(fields: Iterable[str]) -> dict[str, str]:
    """Each field's last words, as many as tell it from the others."""
    names = list(fields)
    return {name: _shortest(name, names) for name in names}


def _shortest(name: str, names: list[str]) -> str:
    parts = name.split(".")
    for count in range(1, len(parts)):
        tail = parts[-count:]
        if sum(other.split(".")[-count:] == tail for other in names) == 1:
            return ".".join(tail)
    return name


def told(values: Mapping[str, JsonValue]) -> str:
    """What a trial sets, for people."""
    shorts = short_names(values)
    return ", ".join(f"{shorts[name]} {shown(value)}" for name, value in values.items())


def shown(value: JsonValue) -> str:
    """One value, for people."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _safe(value: JsonValue) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "_", shown(value)).strip("_")
