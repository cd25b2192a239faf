"""Where a trial finds what it is to train: Ray Tune hands on no more than a name.

What Tune is given it copies, prints, and writes to files; a job with its index is none of that.
"""

from typing import Any


class Desk:
    """An actor that keeps references by name."""

    def __init__(self) -> None:
        self._specs: dict[str, list[Any]] = {}

    def put(self, trial: str, spec: list[Any]) -> None:
        """Keep a reference, in a list so that Ray hands on the reference itself."""
        self._specs[trial] = spec

    def get(self, trial: str) -> list[Any]:
        """The reference."""
        return self._specs[trial]
