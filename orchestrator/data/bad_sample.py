"""A sample that cannot be used: said once, with the reason and the remedy."""

from dataclasses import dataclass


class BadSampleError(Exception):
    """One sample cannot be used; the others can. Caught within ``data`` and written down.

    Not an ``OrchestratorError``: it never leaves the layer, and ends no run.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)

    @property
    def reason(self) -> str:
        """What is wrong, with the value."""
        return str(self.args[0])

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return str(self.args[1])


class MissingMediumError(BadSampleError):
    """A medium is not there. When it was there at indexing, the run stops instead."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """One line of the quarantine ledger."""

    source: str
    """The data file."""

    row: int
    """Line in a JSONL file, position in a JSON list; counted from 1."""

    id: str
    """The sample's own id, or its row."""

    reason: str
    remedy: str
    urls: tuple[str, ...] = ()
    """Where its media are: should they change, the row is looked at again."""

    media_keys: tuple[str, ...] = ()
    """The state of each; blank for what is not there."""
