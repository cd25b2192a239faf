"""What of a job may not change once it has begun, and how to say that it did."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

FREE_SECTIONS: Final = frozenset({"scale", "tracking", "search"})
"""What no weight depends on."""
_ABSENT: Final = "(nothing)"


def frozen_settings(job: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a job that may not change, by its dotted name."""
    return dict(_flat({name: job[name] for name in job if name not in FREE_SECTIONS}))


def changes(begun: Mapping[str, object], asked: Mapping[str, object]) -> list[str]:
    """What differs, a line each with both values."""
    return [
        f"{name}: {asked.get(name, _ABSENT)!s}, was {begun.get(name, _ABSENT)!s}"
        for name in dict.fromkeys([*begun, *asked])
        if asked.get(name, _ABSENT) != begun.get(name, _ABSENT)
    ]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
