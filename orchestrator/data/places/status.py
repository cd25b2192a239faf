"""In which state a medium is, before any of it is read."""

from dataclasses import dataclass

from orchestrator.data.places.answers import PATIENCE, Patience
from orchestrator.data.places.disk import file_state
from orchestrator.data.places.location import Location
from orchestrator.data.places.remote import remote_state
from orchestrator.data.places.wording import empty, shown, too_short


@dataclass(frozen=True, slots=True)
class Status:
    """A medium that is there."""

    num_bytes: int
    """Of the content."""

    key: str
    """Another one whenever the file is: its bytes and time of change, or its etag."""


def status(
    location: Location, name: str, kind: str = "image", patience: Patience = PATIENCE
) -> Status:
    """Look whether a medium is there, without reading it.

    Args:
        location: Where.
        name: What messages call it.
        kind: What it is meant to be, for messages.
        patience: How long a store that does not answer is asked.

    Raises:
        MissingMediumError: It is not there, or behind a URL may not be read.
        BadSampleError: It is no file, is empty or ends early, or may not be read.
        StorageError: The store did not answer.
    """
    what = shown(kind, name)
    if location.is_remote:
        whole_bytes, key = remote_state(location.url, what, patience)
    else:
        whole_bytes, key = file_state(location.url, what)
    num_bytes = whole_bytes - location.offset if location.length is None else location.length
    if num_bytes <= 0:
        raise empty(what)
    if location.offset + num_bytes > whole_bytes:
        raise too_short(what, location.offset + num_bytes, whole_bytes)
    return Status(num_bytes, key)
